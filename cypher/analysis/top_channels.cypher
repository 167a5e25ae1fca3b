// The channels of a layer that an example excites most
// Mean and largest value of each feature map. Values come from `etl features MODEL IMAGE --write NAME`.
// $model STRING          model name
// $layer STRING          layer
// $limit INTEGER = 12    rows, largest mean first
// -> channel INTEGER     channel or unit
// -> neurons INTEGER     its neurons
// -> mean FLOAT          mean of their values
// -> max FLOAT           largest
// -> at LIST             index of the neuron with the largest
// needs: value
// not with: --layers --granularity --min-weight --top-k --ignore-masks
// about: Weights
// :param [{model, layer, limit}] => {RETURN 'digits_cnn' AS model, 'strokes' AS layer, 12 AS limit}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer {name: $layer})
MATCH (n:Neuron) WHERE n.id >= l.begin AND n.id < l.end AND n.value IS NOT NULL
WITH n ORDER BY n.value DESC, n.id
WITH n.channel AS channel, count(*) AS neurons, avg(n.value) AS mean, max(n.value) AS max, head(collect(n.index)) AS at
RETURN channel, neurons, mean, max, at
ORDER BY mean DESC, channel LIMIT $limit
