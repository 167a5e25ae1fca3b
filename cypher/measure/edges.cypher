// The weights into a range of neurons, a row a neuron: a list crosses the wire many times faster than its elements as rows.
// $begin INTEGER, $end INTEGER   ids
// $base INTEGER                  the model's first id

MATCH (b:Neuron) WHERE $begin <= b.id AND b.id < $end
MATCH (b)<-[w:WEIGHT]-(a:Neuron)
RETURN b.id - $base AS target, collect(a.id - $base) AS sources, collect(w.weight) AS weights
