// The shortest way from one neuron to another
// One of the paths with the fewest weights. Without ids: from the model's first neuron to its last.
// $model STRING              model name
// $source NEURON = null      address or id of the neuron where it begins
// $target NEURON = null      address or id of the neuron where it ends
// -> path PATH               the neurons on the way
// -> hops INTEGER            weights on the way
// -> neurons LIST OF INTEGER their ids
// -> layers LIST OF STRING   their neurons' layers
// -> weights LIST OF FLOAT   the weights
// about: Paths
// :param [{model, source, target}] => {RETURN 'digits_cnn' AS model, null AS source, null AS target}

MATCH (m:Model {name: $model})
MATCH (a:Neuron {id: coalesce($source, m.base)}) WHERE a.id >= m.base AND a.id < m.base + m.neurons
MATCH (b:Neuron {id: coalesce($target, m.base + m.neurons - 1)}) WHERE b.id >= m.base AND b.id < m.base + m.neurons AND b <> a
MATCH path = shortestPath((a)-[:WEIGHT*]->(b))
RETURN path, length(path) AS hops, [n IN nodes(path) | n.id] AS neurons, [n IN nodes(path) | n.layer] AS layers, [w IN relationships(path) | w.weight] AS weights
