// Neurons that no output depends on
// No way along weights leads from them to an output: what they compute is thrown away.
// $model STRING             model name
// $limit INTEGER = 100000   rows
// -> id INTEGER             neuron
// -> layer STRING           its layer
// writes: used
// :param [{model, limit}] => {RETURN 'digits_cnn' AS model, 100000 AS limit}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position DESC
WITH m, collect(l) AS layers
CALL (m) {
  MATCH (m)-[:OUTPUT]->(n:Neuron)
  WITH DISTINCT n
  SET n.used = true
}
CALL (layers) {
  UNWIND layers AS l
  CALL (l) {
    MATCH (b:Neuron) WHERE b.id >= l.begin AND b.id < l.end AND b.used
    MATCH (b)<-[:WEIGHT]-(a:Neuron)
    WITH DISTINCT a
    SET a.used = true
  }
  RETURN count(*) AS walked
}
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons AND n.used IS NULL
  RETURN collect(n) AS found
}
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  SET n.used = null
}
UNWIND found AS n
RETURN n.id AS id, n.layer AS layer
ORDER BY id LIMIT $limit
