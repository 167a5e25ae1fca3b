// Neurons that nobody reads
// Neurons without an outgoing weight, the model's outputs aside: what a pool's stride or a crop leaves out.
// $model STRING              model name
// $limit INTEGER = 10000     rows to return
// -> id INTEGER              neuron
// -> layer STRING            its layer
// -> index LIST OF INTEGER   its place in it
// about: Neurons
// :param [{model, limit}] => {RETURN 'digits_cnn' AS model, 10000 AS limit}

MATCH (m:Model {name: $model})
MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  AND NOT EXISTS { (n)-[:WEIGHT]->() } AND NOT EXISTS { (n)<-[:OUTPUT]-() }
RETURN n.id AS id, n.layer AS layer, n.index AS index
ORDER BY id LIMIT $limit
