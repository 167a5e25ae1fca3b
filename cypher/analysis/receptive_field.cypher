// What a neuron can see
// The neurons of a layer, or of the inputs, from which weights lead to it.
// $model STRING              model name
// $neuron INTEGER = null     its id; without one, the model's last neuron
// $layer STRING = null       layer to look at; without one, the inputs
// $limit INTEGER = 10000     rows
// -> id INTEGER              neuron that it sees
// -> layer STRING            its layer
// -> index LIST              its place there
// writes: seen
// :param [{model, neuron, layer, limit}] => {RETURN 'digits_cnn' AS model, null AS neuron, null AS layer, 10000 AS limit}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position DESC
WITH m, collect(l) AS layers
CALL (m) {
  MATCH (n:Neuron {id: coalesce($neuron, m.base + m.neurons - 1)}) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  SET n.seen = true
}
CALL (layers) {
  UNWIND layers AS l
  CALL (l) {
    MATCH (b:Neuron) WHERE b.id >= l.begin AND b.id < l.end AND b.seen
    MATCH (b)<-[:WEIGHT]-(a:Neuron)
    WITH DISTINCT a
    SET a.seen = true
  }
  RETURN count(*) AS walked
}
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons AND n.seen AND CASE WHEN $layer IS NULL THEN n.op = 'input' ELSE n.layer = $layer END
  RETURN collect(n) AS found
}
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  SET n.seen = null
}
UNWIND found AS n
RETURN n.id AS id, n.layer AS layer, n.index AS index
ORDER BY id LIMIT $limit
