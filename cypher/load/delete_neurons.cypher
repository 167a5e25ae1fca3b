// $begin INTEGER, $end INTEGER   ids

MATCH (n:Neuron) WHERE $begin <= n.id AND n.id < $end
DETACH DELETE n
