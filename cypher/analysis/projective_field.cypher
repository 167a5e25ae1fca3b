// Where a neuron can be seen
// The neurons of a layer, or of the outputs, to which weights lead from it.
// $model STRING              model name
// $neuron INTEGER = null     its id; without one, the model's first neuron
// $layer STRING = null       layer to look at; without one, the outputs
// $limit INTEGER = 10000     rows
// -> id INTEGER              neuron that sees it
// -> layer STRING            its layer
// -> index LIST              its place there
// writes: seen
// :param [{model, neuron, layer, limit}] => {RETURN 'digits_cnn' AS model, null AS neuron, null AS layer, 10000 AS limit}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position
WITH m, collect(l) AS layers
CALL (m) {
  MATCH (n:Neuron {id: coalesce($neuron, m.base)}) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  SET n.seen = true
}
CALL (layers) {
  UNWIND layers AS l
  CALL (l) {
    MATCH (a:Neuron) WHERE a.id >= l.begin AND a.id < l.end AND a.seen
    MATCH (a)-[:WEIGHT]->(b:Neuron)
    WITH DISTINCT b
    SET b.seen = true
  }
  RETURN count(*) AS walked
}
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons AND n.seen
    AND CASE WHEN $layer IS NULL THEN EXISTS { (m)-[:OUTPUT]->(n) } ELSE n.layer = $layer END
  RETURN collect(n) AS found
}
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  SET n.seen = null
}
UNWIND found AS n
RETURN n.id AS id, n.layer AS layer, n.index AS index
ORDER BY id LIMIT $limit
