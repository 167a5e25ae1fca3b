// What a neuron can see
// The neurons of a layer, or of the inputs, from which weights lead to it.
// $model STRING              model name
// $neuron NEURON = null      its address, such as digit/4, or id; without one, the model's last neuron
// $layer STRING = null       layer to look at; without one, the inputs
// $limit INTEGER = 10000     rows
// -> id INTEGER              neuron that it sees
// -> layer STRING            its layer
// -> index LIST              its place there
// about: Neurons
// :param [{model, neuron, layer, limit}] => {RETURN 'digits_cnn' AS model, null AS neuron, null AS layer, 10000 AS limit}

MATCH (m:Model {name: $model})
CALL (m) { // by itself, so that it is where the walk begins: else each neuron of the layer begins one
  MATCH (n:Neuron {id: coalesce($neuron, m.base + m.neurons - 1)}) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  RETURN n
}
CALL (m, n) {
  MATCH (n)<-[:WEIGHT*0..]-(a:Neuron) WHERE CASE WHEN $layer IS NULL THEN a.op = 'input' ELSE a.layer = $layer END
  RETURN DISTINCT a
}
RETURN a.id AS id, a.layer AS layer, a.index AS index
ORDER BY id LIMIT $limit
