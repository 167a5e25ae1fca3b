// What a model returns.
// $model STRING     model name
// $cells LIST       maps: output (its number), position (vector of places in it), id (vector of neurons)

MATCH (m:Model {name: $model})
UNWIND $cells AS cell
WITH m, cell.output AS output, toIntegerList(cell.position) AS position, toIntegerList(cell.id) AS id
UNWIND range(0, size(id) - 1) AS i
MATCH (n:Neuron {id: id[i]})
CREATE (m)-[:OUTPUT {output: output, position: position[i]}]->(n)
