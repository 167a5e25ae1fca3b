// All neurons of a small model with their biases and the weights into them.
// $model STRING   model name

MATCH (m:Model {name: $model})
MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
RETURN n.id AS id, n.bias AS bias, COLLECT { MATCH (n)<-[w:WEIGHT]-(a:Neuron) RETURN [a.id, w.weight] ORDER BY a.id } AS inputs
ORDER BY id
