// What is stored of the weights into one layer, to be compared with what was sent. Sums are of integers, so they don't depend on the order.
// $begin INTEGER, $end INTEGER, $base INTEGER, $scale FLOAT, $layer STRING

MATCH (b:Neuron) WHERE $begin <= b.id AND b.id < $end
MATCH (b)<-[w:WEIGHT {layer: $layer}]-(a:Neuron)
RETURN count(w) AS edges, sum(a.id - $base) AS sources, sum(b.id - $base) AS targets, sum(w.parameter) AS parameters,
       sum(toInteger(w.weight * $scale)) AS weights
