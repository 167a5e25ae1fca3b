// Weights as columns, an entry an edge.
// $cells LIST     maps: layer; source, target, weight, parameter (vectors of at most 4,096; parameter may be null)

UNWIND $cells AS cell
WITH cell.layer AS layer, toIntegerList(cell.source) AS source, toIntegerList(cell.target) AS target,
     toFloatList(cell.weight) AS weight, toIntegerList(cell.parameter) AS parameter
UNWIND range(0, size(source) - 1) AS i
MATCH (a:Neuron {id: source[i]})
MATCH (b:Neuron {id: target[i]})
CREATE (a)-[:WEIGHT {weight: weight[i], layer: layer, parameter: parameter[i]}]->(b)
