// A range of neurons as columns, in the order of their ids; NaN where there is no bias.
// $begin INTEGER, $end INTEGER   ids

MATCH (n:Neuron) WHERE $begin <= n.id < $end
WITH n ORDER BY n.id
RETURN collect(n.id) AS ids, collect(coalesce(n.op, '')) AS ops, collect(coalesce(n.activation, '')) AS activations,
       collect(CASE WHEN n.bias IS NULL THEN 0.0 / 0.0 ELSE coalesce(toFloatOrNull(n.bias), 1.0 / 0.0) END) AS biases
