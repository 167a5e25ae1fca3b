// What changed between two loads of one architecture
// Weights and biases side by side, layer by layer: before and after training, or pruning. A weight that one of them was loaded without (--min-weight,
// --top-k) counts as zero there. Layers are the same where name, type, shape and number of parameters are; what is left, or all where Keras numbered
// the layers of one architecture on (dense, dense_1; dense_2, dense_3), by place: the first of a type, shape and number of parameters with the first.
// A layer that only one of them has stands by itself: so do those of two frameworks (Dense, Linear), whose kernels lie in another order. Where the graph's weights are computed from stored numbers, the computed ones are compared:
// of BatchNormalization gamma / sqrt(variance + epsilon), and as bias beta - mean * that.
// $model STRING              model name: before
// $other STRING              model name: after
// -> layer STRING            layer before; null where only the other model has it
// -> other STRING            layer after; null where only the first model has it
// -> match STRING            what they were matched by: name or place; null where there is nothing to compare with
// -> parameters INTEGER      stored weights on edges of either, or computed ones, each channel's different ones once
// -> changed INTEGER         of these, different ones
// -> mean_change FLOAT       mean of |after - before|
// -> max_change FLOAT        largest of them
// -> flipped INTEGER         weights whose sign changed
// -> zeroed INTEGER          weights that became zero, or went
// -> max_bias_change FLOAT   largest |after - before| of a bias; null without biases
// about: Weights
// :param [{model, other}] => {RETURN 'digits_cnn' AS model, 'digits_cnn_pruned' AS other}

CALL () {
  MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end AND (l.parameters > 0 OR l.type IN ['sum', 'max', 'min', 'product'])
  WITH l ORDER BY l.position
  RETURN collect(l) AS before
}
CALL () {
  MATCH (:Model {name: $other})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end AND (l.parameters > 0 OR l.type IN ['sum', 'max', 'min', 'product'])
  WITH l ORDER BY l.position
  RETURN collect(l) AS after
}
// one architecture under other names: a name that both have may be another layer's
WITH before, after, [l IN before | [l.type, l.shape, l.parameters]] = [l IN after | [l.type, l.shape, l.parameters]]
  AND COLLECT { UNWIND before AS l RETURN l.name ORDER BY l.name } <> COLLECT { UNWIND after AS l RETURN l.name ORDER BY l.name } AS renamed
CALL (before, after, renamed) {
  UNWIND [l IN before | {layer: l, first: true}] + [l IN after | {layer: l, first: false}] AS side
  WITH CASE WHEN renamed THEN [side.first, side.layer.name] ELSE [side.layer.name] END AS name, side.layer.type AS type, side.layer.shape AS shape,
       side.layer.parameters AS parameters, collect(side) AS sides
  RETURN [pair IN collect(sides) WHERE size(pair) = 2] AS named, [pair IN collect(sides) WHERE size(pair) = 1 | pair[0]] AS rest
}
CALL (rest) {
  UNWIND rest AS side
  WITH side ORDER BY side.layer.position
  WITH side.layer.type AS type, side.layer.shape AS shape, side.layer.parameters AS parameters, collect(side) AS sides
  WITH [side IN sides WHERE side.first | side.layer] AS one, [side IN sides WHERE NOT side.first | side.layer] AS two
  UNWIND range(0, CASE WHEN size(one) > size(two) THEN size(one) ELSE size(two) END - 1) AS i
  RETURN collect({l: one[i], k: two[i], match: 'place'}) AS placed
}
UNWIND [pair IN named | {l: pair[0].layer, k: pair[1].layer, match: 'name'}] + placed AS pair
WITH pair.l AS l, pair.k AS k, pair.match AS match
// the weights of a folded layer are computed, those of the same layer as it is in the file are stored
WITH l, k, match,
     EXISTS { MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE n.id >= l.begin AND n.id < l.end AND w.parameter IS NOT NULL } AS l_stored,
     EXISTS { MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE n.id >= k.begin AND n.id < k.end AND w.parameter IS NOT NULL } AS k_stored
WITH l, k, match, l_stored, k_stored, l IS NOT NULL AND k IS NOT NULL AND (l_stored = k_stored OR l.edges = 0 OR k.edges = 0) AS alike
UNWIND CASE WHEN alike THEN [{l: l, k: k, match: match, stored: l_stored OR k_stored}] ELSE [{l: l, stored: l_stored}, {k: k, stored: k_stored}] END AS pair
WITH pair.l AS l, pair.k AS k, pair.match AS match, pair.stored AS stored WHERE pair.l IS NOT NULL OR pair.k IS NOT NULL
WITH l, k, match, stored OR coalesce(l.parameters, k.parameters) > 0 AS stored, CASE WHEN match IS NOT NULL THEN [l.begin, l.end] ELSE [] END AS l_ids,
     CASE WHEN match IS NOT NULL THEN [k.begin, k.end] ELSE [] END AS k_ids
CALL (l_ids, k_ids, match) {
  CALL (l_ids, k_ids) {
    CALL (l_ids, k_ids) {
      MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE n.id >= l_ids[0] AND n.id < l_ids[1] AND w.parameter IS NOT NULL
      RETURN DISTINCT w.parameter AS parameter, w.weight AS before, 0.0 AS after
      UNION ALL
      MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE n.id >= k_ids[0] AND n.id < k_ids[1] AND w.parameter IS NOT NULL
      RETURN DISTINCT w.parameter AS parameter, 0.0 AS before, w.weight AS after
    }
    RETURN parameter AS place, sum(before) AS a, sum(after) AS b
    UNION ALL
    CALL (l_ids, k_ids) {
      MATCH (n:Neuron)<-[w:WEIGHT]-(s:Neuron) WHERE n.id >= l_ids[0] AND n.id < l_ids[1] AND w.parameter IS NULL
      RETURN n.id - l_ids[0] AS target, s.index AS source, coalesce(n.channel, n.index[-1], 0) AS channel, w.weight AS before, 0.0 AS after
      UNION ALL
      MATCH (n:Neuron)<-[w:WEIGHT]-(s:Neuron) WHERE n.id >= k_ids[0] AND n.id < k_ids[1] AND w.parameter IS NULL
      RETURN n.id - k_ids[0] AS target, s.index AS source, coalesce(n.channel, n.index[-1], 0) AS channel, 0.0 AS before, w.weight AS after
    }
    WITH target, source, channel, sum(before) AS a, sum(after) AS b
    RETURN DISTINCT channel AS place, a, b
  }
  WITH match, a, b WHERE match IS NOT NULL
  RETURN count(*) AS parameters, sum(CASE WHEN a <> b THEN 1 ELSE 0 END) AS changed, avg(abs(b - a)) AS mean_change, max(abs(b - a)) AS max_change,
         sum(CASE WHEN sign(a) * sign(b) < 0 THEN 1 ELSE 0 END) AS flipped, sum(CASE WHEN a <> 0 AND b = 0 THEN 1 ELSE 0 END) AS zeroed
}
CALL (l, k) {
  MATCH (n:Neuron) WHERE n.id >= l.begin AND n.id < l.end AND n.bias IS NOT NULL
  MATCH (o:Neuron {id: n.id - l.begin + k.begin})
  RETURN max(abs(o.bias - n.bias)) AS max_bias_change
}
WITH l, k, match, parameters, changed, mean_change, max_change, flipped, zeroed, max_bias_change
WHERE stored OR changed > 0 OR max_bias_change > 0
RETURN l.name AS layer, k.name AS other, match, CASE WHEN match IS NOT NULL THEN parameters END AS parameters,
       CASE WHEN match IS NOT NULL THEN changed END AS changed, mean_change, max_change, CASE WHEN match IS NOT NULL THEN flipped END AS flipped,
       CASE WHEN match IS NOT NULL THEN zeroed END AS zeroed, max_bias_change
ORDER BY coalesce(l.position, k.position), l IS NULL
