// Weights of neurons that read windows through the same kernel: sources are matched once for all filters, targets once for all sources.
// $cells LIST     maps: layer; sources, targets (a vector of ids a window); weights, parameters (a vector a filter, as long as a window; or no parameters)

UNWIND $cells AS cell
WITH cell, [v IN cell.weights | toFloatList(v)] AS weights, [v IN cell.parameters | toIntegerList(v)] AS parameters
UNWIND range(0, size(cell.sources) - 1) AS g
CALL (cell, g) {
  UNWIND toIntegerList(cell.targets[g]) AS id
  MATCH (b:Neuron {id: id})
  RETURN collect(b) AS targets
}
WITH cell.layer AS layer, weights, parameters, toIntegerList(cell.sources[g]) AS sources, targets
UNWIND range(0, size(sources) - 1) AS k
MATCH (a:Neuron {id: sources[k]})
UNWIND range(0, size(targets) - 1) AS f
WITH a, targets[f] AS b, layer, weights[f][k] AS weight, parameters[f][k] AS parameter
CREATE (a)-[:WEIGHT {weight: weight, layer: layer, parameter: parameter}]->(b)
