// Weights as columns, an entry an edge, in pieces.
// $layers LIST      of each piece: its layer's name
// $sources LIST     ids (vectors)
// $targets LIST     ids (vectors)
// $weights LIST     weights (vectors)
// $parameters LIST  places in the file's arrays (vectors), or nothing

UNWIND range(0, size($layers) - 1) AS c
WITH c, toIntegerList($sources[c]) AS sources, toIntegerList($targets[c]) AS targets, toFloatList($weights[c]) AS weights,
     toIntegerList($parameters[c]) AS parameters
UNWIND range(0, size(sources) - 1) AS i
MATCH (a:Neuron {id: sources[i]})
MATCH (b:Neuron {id: targets[i]})
WITH a, b, c, weights[i] AS weight, parameters[i] AS parameter
CREATE (a)-[:WEIGHT {weight: weight, layer: $layers[c], parameter: parameter}]->(b)
