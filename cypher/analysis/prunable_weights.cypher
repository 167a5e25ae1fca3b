// How many weights are so small that they might go
// For each layer, stored weights whose absolute value is at most a threshold, and how many edges they are on.
// $model STRING              model name
// $threshold FLOAT = 0.01    largest |weight| that counts as small
// -> layer STRING            layer
// -> parameters INTEGER      stored weights on edges
// -> prunable INTEGER        small ones
// -> edges INTEGER           edges that carry stored weights
// -> prunable_edges INTEGER  edges that carry small ones
// -> share FLOAT             prunable / parameters
// not with: --granularity --min-weight --top-k
// about: Weights
// :param [{model, threshold}] => {RETURN 'digits_cnn' AS model, 0.01 AS threshold}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.edges > 0
CALL (l) {
  MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE n.id >= l.begin AND n.id < l.end AND w.parameter IS NOT NULL
  WITH w.parameter AS parameter, abs(w.weight) <= $threshold AS small, count(*) AS edges
  RETURN count(*) AS parameters, sum(CASE WHEN small THEN 1 ELSE 0 END) AS prunable, sum(edges) AS edges,
         sum(CASE WHEN small THEN edges ELSE 0 END) AS prunable_edges
}
WITH l, parameters, prunable, edges, prunable_edges WHERE parameters > 0
RETURN l.name AS layer, parameters, prunable, edges, prunable_edges, toFloat(prunable) / parameters AS share
ORDER BY l.position
