// Mean, deviation and range of a layer's weights and biases, by kernel
// Over the numbers that the file stores, each once, however many edges carry it. A kernel is an output channel or a unit.
// $model STRING          model name
// $layer STRING = null   layer; without one, every layer that has stored weights
// -> layer STRING        layer
// -> kernel INTEGER      its channel or unit; null on the layer's own row
// -> weights INTEGER     stored weights
// -> mean FLOAT          their mean
// -> std FLOAT           standard deviation (ddof = 1); null of a single one
// -> min FLOAT           least
// -> max FLOAT           largest
// -> bias FLOAT          the kernel's bias; null on the layer's own row, and where places have biases of their own
// -> bias_mean FLOAT     mean of the layer's biases; null on a kernel's row
// -> bias_std FLOAT      standard deviation (ddof = 1); null of a single one
// -> bias_min FLOAT      least
// -> bias_max FLOAT      largest
// not with: --granularity --min-weight --top-k
// about: Weights
// :param [{model, layer}] => {RETURN 'digits_cnn' AS model, null AS layer}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer)
WHERE l.edges > 0 AND ($layer IS NULL OR l.name = $layer OR l.name STARTS WITH $layer + '/')
CALL (l) {
  MATCH (n:Neuron)<-[w:WEIGHT]-(:Neuron) WHERE n.id >= l.begin AND n.id < l.end AND w.parameter IS NOT NULL
  WITH DISTINCT n.channel AS kernel, w.parameter AS parameter, w.weight AS weight, n.bias AS bias
  RETURN collect({kernel: kernel, parameter: parameter, weight: weight, bias: bias}) AS stored
}
WITH l, stored WHERE size(stored) > 0
CALL (stored) {
  UNWIND stored AS one
  WITH DISTINCT one.parameter AS parameter, one.weight AS weight
  WITH null AS kernel, count(*) AS weights, avg(weight) AS mean, CASE WHEN count(*) > 1 THEN stDev(weight) END AS std, min(weight) AS min,
       max(weight) AS max
  CALL (stored) {
    UNWIND stored AS one
    WITH DISTINCT one.kernel AS kernel, one.bias AS bias
    RETURN avg(bias) AS bias_mean, CASE WHEN count(bias) > 1 THEN stDev(bias) END AS bias_std, min(bias) AS bias_min, max(bias) AS bias_max
  }
  RETURN kernel, weights, mean, std, min, max, null AS bias, bias_mean, bias_std, bias_min, bias_max
  UNION ALL
  UNWIND stored AS one
  WITH one.kernel AS kernel, count(*) AS weights, avg(one.weight) AS mean, CASE WHEN count(*) > 1 THEN stDev(one.weight) END AS std,
       min(one.weight) AS min, max(one.weight) AS max, CASE WHEN min(one.bias) = max(one.bias) THEN min(one.bias) END AS bias
  RETURN kernel, weights, mean, std, min, max, bias, null AS bias_mean, null AS bias_std, null AS bias_min, null AS bias_max
}
RETURN l.name AS layer, kernel, weights, mean, std, min, max, bias, bias_mean, bias_std, bias_min, bias_max
ORDER BY l.position, coalesce(kernel, -1)
