// How much of a store one layer is.
// $begin INTEGER, $end INTEGER   ids

MATCH (n:Neuron) WHERE n.id >= $begin AND n.id < $end
RETURN count(n) AS neurons, sum(COUNT { (n)<-[:WEIGHT]-() }) AS weights
