// The weights into some neurons, a row a neuron: a list crosses the wire many times faster than its elements as rows.
// $begin INTEGER, $end INTEGER   ids
// -> parameters   -1 where there is none
// -> layers       different ones among them
// -> properties   how many properties all of them have together

MATCH (b:Neuron) WHERE b.id >= $begin AND b.id < $end
MATCH (b)<-[w:WEIGHT]-(a:Neuron)
RETURN b.id AS target, collect(a.id) AS sources, collect(w.weight) AS weights, collect(coalesce(w.parameter, -1)) AS parameters,
       count(w.parameter) AS stored, collect(DISTINCT w.layer) AS layers, count(w.layer) AS told, sum(size(keys(w))) AS properties
