// Some neurons with all that they hold: lists cross the wire many times faster than maps.
// $begin INTEGER, $end INTEGER   ids
// $more LIST OF STRING           properties besides those that a load writes

MATCH (n:Neuron) WHERE n.id >= $begin AND n.id < $end
WITH n ORDER BY n.id
RETURN collect([n.id, n.name, n.model, n.layer, n.index, n.channel, n.op, n.bias, n.activation] + [k IN $more | n[k]] + [labels(n)]) AS neurons
