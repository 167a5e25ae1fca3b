// The layers of a model, in order
// Each layer of the file and each sublayer, with its place among the ids. Layers that only move values have no neurons.
// $model STRING            model name
// -> name STRING           layer
// -> type STRING           Keras class; the operation, for a sublayer
// -> begin INTEGER         id of its first neuron
// -> end INTEGER           id after its last neuron
// -> shape LIST OF INTEGER of its output, without the batch
// -> neurons INTEGER       neurons
// -> edges INTEGER         weights into them
// -> parameters INTEGER    numbers stored in the file
// about: Overview
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer)
RETURN l.name AS name, l.type AS type, l.begin AS begin, l.end AS end, l.shape AS shape, l.end - l.begin AS neurons, l.edges AS edges,
       l.parameters AS parameters
ORDER BY l.position
