// The weights into a range of neurons, a row a neuron; NaN where a weight is no number, a parameter of -1 where it has none.
// $begin INTEGER, $end INTEGER   ids

MATCH (b:Neuron) WHERE $begin <= b.id < $end
MATCH (b)<-[w:WEIGHT]-(a:Neuron)
RETURN b.id AS target, collect(a.id) AS sources, collect(coalesce(toFloatOrNull(w.weight), 0.0 / 0.0)) AS weights,
       collect(coalesce(toIntegerOrNull(w.parameter), -1)) AS parameters
