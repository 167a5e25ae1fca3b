// Values of neurons in the order of their ids; null takes the property away.
// $begin INTEGER     first id
// $property STRING   property
// $values LIST       values

UNWIND range(0, size($values) - 1) AS i
MATCH (n:Neuron {id: $begin + i})
SET n[$property] = $values[i]
