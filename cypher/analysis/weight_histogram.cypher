// How a layer's weights are distributed
// A histogram of the numbers that the file stores, each once, in bins of equal width from the least to the largest.
// $model STRING            model name
// $layer STRING = null     layer; without one, every layer that has stored weights
// $kernel INTEGER = null   one channel or unit of it
// $bins INTEGER = 50       bins
// -> layer STRING          layer
// -> bin INTEGER           bin, from 0
// -> low FLOAT             its lower bound
// -> high FLOAT            its upper bound
// -> weights INTEGER       stored weights in it
// not with: --granularity --min-weight --top-k
// about: Weights
// :param [{model, layer, kernel, bins}] => {RETURN 'digits_cnn' AS model, null AS layer, null AS kernel, 50 AS bins}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.edges > 0 AND ($layer IS NULL OR l.name = $layer)
CALL (l) {
  MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron)
  WHERE n.id >= l.begin AND n.id < l.end AND w.parameter IS NOT NULL AND ($kernel IS NULL OR n.channel = $kernel)
  WITH DISTINCT w.parameter AS parameter, w.weight AS weight
  RETURN collect(weight) AS stored, min(weight) AS low, (max(weight) - min(weight)) / $bins AS width
}
WITH l, stored, low, width WHERE size(stored) > 0
CALL (stored, low, width) {
  UNWIND stored AS weight
  WITH weight, CASE WHEN width > 0 THEN toInteger((weight - low) / width) ELSE 0 END AS bin
  // where rounding put a weight on the wrong side of a bound, the bound decides; the last bin has both of its bounds
  WITH CASE WHEN bin >= $bins THEN $bins - 1 WHEN weight < low + bin * width THEN bin - 1
            WHEN bin < $bins - 1 AND width > 0 AND weight >= low + (bin + 1) * width THEN bin + 1 ELSE bin END AS bin
  WITH bin, count(*) AS weights
  RETURN collect([bin, weights]) AS filled
}
UNWIND range(0, $bins - 1) AS bin
RETURN l.name AS layer, bin, low + bin * width AS low, low + (bin + 1) * width AS high, coalesce([f IN filled WHERE f[0] = bin][0][1], 0) AS weights
ORDER BY l.position, bin
