// How the weights of each kernel are distributed
// A histogram for each output channel or unit of a layer, over the numbers that the file stores, each once. All of them have the same bins: of equal
// width from the least to the largest of the layer. A bin without weights has no row.
// $model STRING          model name
// $layer STRING          layer
// $bins INTEGER = 50     bins
// -> kernel INTEGER      channel or unit
// -> bin INTEGER         bin, from 0
// -> low FLOAT           its lower bound
// -> high FLOAT          its upper bound
// -> weights INTEGER     stored weights in it
// not with: --granularity --min-weight --top-k
// about: Weights
// :param [{model, layer, bins}] => {RETURN 'digits_cnn' AS model, 'shapes' AS layer, 50 AS bins}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer {name: $layer})
CALL (l) {
  MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE n.id >= l.begin AND n.id < l.end AND w.parameter IS NOT NULL
  WITH DISTINCT n.channel AS kernel, w.parameter AS parameter, w.weight AS weight
  RETURN collect({kernel: kernel, weight: weight}) AS stored, min(weight) AS low, (max(weight) - min(weight)) / $bins AS width
}
UNWIND stored AS one
WITH low, width, one.kernel AS kernel, one.weight AS weight, CASE WHEN width > 0 THEN toInteger((one.weight - low) / width) ELSE 0 END AS bin
// where rounding put a weight on the wrong side of a bound, the bound decides; the last bin has both of its bounds
WITH low, width, kernel, CASE WHEN bin >= $bins THEN $bins - 1 WHEN weight < low + bin * width THEN bin - 1
     WHEN bin < $bins - 1 AND width > 0 AND weight >= low + (bin + 1) * width THEN bin + 1 ELSE bin END AS bin
RETURN kernel, bin, low + bin * width AS low, low + (bin + 1) * width AS high, count(*) AS weights
ORDER BY kernel, bin
