// What is stored of some layers, to be compared with what was sent. Sums are of integers, so they don't depend on the order.
// $base INTEGER   first id of the model
// $layers LIST    maps: position, name, begin, end (ids), bias_scale, weight_scale

UNWIND $layers AS l
CALL (l) {
  MATCH (n:Neuron) WHERE l.begin <= n.id AND n.id < l.end AND n.layer = l.name
  RETURN count(n) AS neurons, sum(n.id - $base) AS ids, count(n.bias) AS biases, sum(toInteger(n.bias * l.bias_scale)) AS bias
}
CALL (l) {
  MATCH (b:Neuron) WHERE l.begin <= b.id AND b.id < l.end
  MATCH (b)<-[w:WEIGHT {layer: l.name}]-(a:Neuron)
  RETURN count(w) AS edges, sum(a.id - $base) AS sources, sum(b.id - $base) AS targets, sum(w.parameter) AS parameters,
         sum(toInteger(w.weight * l.weight_scale)) AS weights
}
RETURN l.position AS position, neurons, ids, biases, bias, edges, sources, targets, parameters, weights
