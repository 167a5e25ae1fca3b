// What a model returns.
// $model STRING     model name
// $parts LIST       maps: output (its number), position (vector of places in it), id (vector of neurons)

MATCH (m:Model {name: $model})
UNWIND $parts AS part
WITH m, part.output AS output, toIntegerList(part.position) AS position, toIntegerList(part.id) AS id
UNWIND range(0, size(id) - 1) AS i
MATCH (n:Neuron {id: id[i]})
CREATE (m)-[:OUTPUT {output: output, position: position[i]}]->(n)
