// What changed between two loads of one architecture
// Stored weights side by side, layer by layer: before and after training, or pruning.
// $model STRING              model name: before
// $other STRING              model name: after
// -> layer STRING            layer
// -> parameters INTEGER      stored weights that both have
// -> changed INTEGER         of these, different ones
// -> mean_change FLOAT       mean of |after - before|
// -> max_change FLOAT        largest of them
// -> flipped INTEGER         weights whose sign changed
// -> zeroed INTEGER          weights that became zero
// :params {model: 'digits_cnn', other: 'digits_cnn_pruned'}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.edges > 0
MATCH (:Model {name: $other})-[:HAS_LAYER]->(k:Layer {name: l.name})
CALL (l) {
  MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE l.begin <= n.id AND n.id < l.end AND w.parameter IS NOT NULL
  WITH DISTINCT w.parameter AS parameter, w.weight AS weight ORDER BY parameter
  RETURN collect(parameter) AS parameters, collect(weight) AS before
}
CALL (k) {
  MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE k.begin <= n.id AND n.id < k.end AND w.parameter IS NOT NULL
  WITH DISTINCT w.parameter AS parameter, w.weight AS weight ORDER BY parameter
  RETURN collect(parameter) AS others, collect(weight) AS after
}
WITH l, before, after WHERE size(parameters) > 0 AND parameters = others
UNWIND range(0, size(before) - 1) AS i
WITH l, before[i] AS a, after[i] AS b
WITH l, count(*) AS parameters, sum(CASE WHEN a <> b THEN 1 ELSE 0 END) AS changed, avg(abs(b - a)) AS mean_change, max(abs(b - a)) AS max_change,
     sum(CASE WHEN a * b < 0 THEN 1 ELSE 0 END) AS flipped, sum(CASE WHEN a <> 0 AND b = 0 THEN 1 ELSE 0 END) AS zeroed
RETURN l.name AS layer, parameters, changed, mean_change, max_change, flipped, zeroed
ORDER BY l.position
