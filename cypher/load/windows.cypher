// Weights of neurons that read windows through the same kernel: sources are matched once for all filters, targets once for all sources.
// $layers LIST      of each block: its layer's name
// $sources LIST     the ids of each window (vectors); below zero: no neuron, no weight
// $targets LIST     the ids of the neurons that read each window (vectors)
// $weights LIST     of each filter, as long as a window (vectors)
// $parameters LIST  likewise, or nothing

// Lists beside each other, not a list of maps: reading block.layer could be reading a weight's layer, and the planner would hold all rows back.
UNWIND range(0, size($layers) - 1) AS c
WITH c, [v IN $weights[c] | toFloatList(v)] AS weights, [v IN $parameters[c] | toIntegerList(v)] AS parameters
UNWIND range(0, size($sources[c]) - 1) AS g
CALL (c, g) {
  UNWIND toIntegerList($targets[c][g]) AS id
  MATCH (b:Neuron {id: id})
  RETURN collect(b) AS targets
}
WITH c, weights, parameters, toIntegerList($sources[c][g]) AS sources, targets
UNWIND range(0, size(sources) - 1) AS k
MATCH (a:Neuron {id: sources[k]})
UNWIND range(0, size(targets) - 1) AS f
WITH a, targets[f] AS b, c, weights[f][k] AS weight, parameters[f][k] AS parameter
CREATE (a)-[:WEIGHT {weight: weight, layer: $layers[c], parameter: parameter}]->(b)
