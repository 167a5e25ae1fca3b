// What a neuron listens to most
// The weights into one neuron, largest absolute value first, with the neurons that they come from.
// $model STRING              model name
// $neuron NEURON             its address: layer and index, such as digit/4 or pool/2,2,15; or its id
// $limit INTEGER = 20        rows to return
// -> source INTEGER          neuron that is read
// -> layer STRING            its layer
// -> index LIST OF INTEGER   its place in that layer: row, column, channel
// -> weight FLOAT            weight
// -> parameter INTEGER       place of the weight among the numbers stored in the file's layer; null where it was computed
// about: Neurons
// :param [{model, neuron, limit}] => {RETURN 'digits_cnn' AS model, 100 AS neuron, 20 AS limit}

MATCH (m:Model {name: $model})
MATCH (n:Neuron {id: $neuron}) WHERE n.id >= m.base AND n.id < m.base + m.neurons
MATCH (n)<-[w:WEIGHT]-(a:Neuron)
RETURN a.id AS source, a.layer AS layer, a.index AS index, w.weight AS weight, w.parameter AS parameter
ORDER BY abs(weight) DESC, source LIMIT $limit
