// Where a neuron can be seen
// The neurons of a layer, or of the outputs, to which weights lead from it.
// $model STRING              model name
// $neuron NEURON = null      its address, such as digit/4, or id; without one, the model's first neuron
// $layer STRING = null       layer to look at; without one, the outputs
// $limit INTEGER = 10000     rows
// -> id INTEGER              neuron that sees it
// -> layer STRING            its layer
// -> index LIST              its place there
// about: Neurons
// :param [{model, neuron, layer, limit}] => {RETURN 'digits_cnn' AS model, null AS neuron, null AS layer, 10000 AS limit}

MATCH (m:Model {name: $model})
CALL (m) { // by itself, so that it is where the walk begins: else each neuron of the layer begins one
  MATCH (n:Neuron {id: coalesce($neuron, m.base)}) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  RETURN n
}
CALL (m, n) {
  MATCH (n)-[:WEIGHT*0..]->(b:Neuron) WHERE CASE WHEN $layer IS NULL THEN EXISTS { (m)-[:OUTPUT]->(b) } ELSE b.layer = $layer END
  RETURN DISTINCT b
}
RETURN b.id AS id, b.layer AS layer, b.index AS index
ORDER BY id LIMIT $limit
