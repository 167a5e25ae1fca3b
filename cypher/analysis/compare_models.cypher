// What changed between two loads of one architecture
// Stored weights and biases side by side, layer by layer: before and after training, or pruning. A weight that one of them was loaded without
// (--min-weight, --top-k) counts as zero there. Layers are the same where name, shape and number of parameters are.
// $model STRING              model name: before
// $other STRING              model name: after
// -> layer STRING            layer
// -> parameters INTEGER      stored weights on edges of either
// -> changed INTEGER         of these, different ones
// -> mean_change FLOAT       mean of |after - before|
// -> max_change FLOAT        largest of them
// -> flipped INTEGER         weights whose sign changed
// -> zeroed INTEGER          weights that became zero, or went
// -> max_bias_change FLOAT   largest |after - before| of a bias; null without biases
// :param [{model, other}] => {RETURN 'digits_cnn' AS model, 'digits_cnn_pruned' AS other}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.edges > 0
MATCH (:Model {name: $other})-[:HAS_LAYER]->(k:Layer {name: l.name}) WHERE k.shape = l.shape AND k.parameters = l.parameters
CALL (l, k) {
  CALL (l, k) {
    MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE n.id >= l.begin AND n.id < l.end AND w.parameter IS NOT NULL
    RETURN DISTINCT w.parameter AS parameter, w.weight AS before, 0.0 AS after
    UNION ALL
    MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE n.id >= k.begin AND n.id < k.end AND w.parameter IS NOT NULL
    RETURN DISTINCT w.parameter AS parameter, 0.0 AS before, w.weight AS after
  }
  WITH parameter, sum(before) AS a, sum(after) AS b
  RETURN count(*) AS parameters, sum(CASE WHEN a <> b THEN 1 ELSE 0 END) AS changed, avg(abs(b - a)) AS mean_change, max(abs(b - a)) AS max_change,
         sum(CASE WHEN sign(a) * sign(b) < 0 THEN 1 ELSE 0 END) AS flipped, sum(CASE WHEN a <> 0 AND b = 0 THEN 1 ELSE 0 END) AS zeroed
}
CALL (l, k) {
  MATCH (n:Neuron) WHERE n.id >= l.begin AND n.id < l.end AND n.bias IS NOT NULL
  MATCH (o:Neuron {id: n.id - l.begin + k.begin})
  RETURN max(abs(o.bias - n.bias)) AS max_bias_change
}
WITH l, parameters, changed, mean_change, max_change, flipped, zeroed, max_bias_change WHERE parameters > 0
RETURN l.name AS layer, parameters, changed, mean_change, max_change, flipped, zeroed, max_bias_change
ORDER BY l.position
