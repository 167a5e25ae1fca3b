// What is stored of some layers, to be compared with what was sent. Sums are of integers, so they don't depend on the order.
// $base INTEGER   first id of the model
// $layers LIST    maps: position, begin, end (ids), bias_scale, weight_scale
// -> read, written INTEGER: ids summed over the weights that go out of the layer's neurons and over those that come in; degrees are stored,
//    so that only the weights themselves need a look at each one

UNWIND $layers AS l
CALL (l) {
  MATCH (n:Neuron) WHERE n.id >= l.begin AND n.id < l.end
  RETURN count(n) AS neurons, sum(n.id - $base) AS ids, count(n.bias) AS biases, sum(toInteger(n.bias * l.bias_scale)) AS bias,
         sum((n.id - $base) * COUNT { (n)-[:WEIGHT]->() }) AS read, sum((n.id - $base) * COUNT { (n)<-[:WEIGHT]-() }) AS written
}
CALL (l) {
  MATCH (b:Neuron) WHERE b.id >= l.begin AND b.id < l.end
  MATCH (b)<-[w:WEIGHT]-()
  RETURN count(w) AS edges, sum(w.parameter) AS parameters, sum(toInteger(w.weight * l.weight_scale)) AS weights
}
RETURN l.position AS position, neurons, ids, biases, bias, read, written, edges, parameters, weights
