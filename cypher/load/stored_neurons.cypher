// What is stored of one layer's neurons, to be compared with what was sent. Sums are of integers, so they don't depend on the order.
// $begin INTEGER, $end INTEGER, $base INTEGER, $scale FLOAT, $layer STRING

MATCH (n:Neuron) WHERE $begin <= n.id AND n.id < $end AND n.layer = $layer
RETURN count(n) AS neurons, sum(n.id - $base) AS ids, count(n.bias) AS biases, sum(toInteger(n.bias * $scale)) AS bias
