// Degree and strength of each layer's neurons
// How many weights come in and go out of a neuron, and what they add up to (strength): least, mean and most in each layer.
// $model STRING                model name
// -> layer STRING              layer
// -> neurons INTEGER           neurons
// -> in_min INTEGER            least weights into a neuron
// -> in_mean FLOAT             mean
// -> in_max INTEGER            most
// -> out_min INTEGER           least weights out of a neuron
// -> out_mean FLOAT            mean
// -> out_max INTEGER           most
// -> in_strength_min FLOAT     least sum of the weights into a neuron
// -> in_strength_mean FLOAT    mean
// -> in_strength_max FLOAT     largest
// -> out_strength_min FLOAT    least sum of the weights out of a neuron
// -> out_strength_mean FLOAT   mean
// -> out_strength_max FLOAT    largest
// about: Measures
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
CALL (l) {
  MATCH (n:Neuron) WHERE n.id >= l.begin AND n.id < l.end
  CALL (n) {
    OPTIONAL MATCH (n)<-[w:WEIGHT]-()
    RETURN count(w) AS ins, toFloat(sum(w.weight)) AS drawn
  }
  CALL (n) {
    OPTIONAL MATCH (n)-[w:WEIGHT]->()
    RETURN count(w) AS outs, toFloat(sum(w.weight)) AS given
  }
  RETURN count(n) AS neurons, min(ins) AS in_min, avg(ins) AS in_mean, max(ins) AS in_max, min(outs) AS out_min, avg(outs) AS out_mean,
         max(outs) AS out_max, min(drawn) AS in_strength_min, avg(drawn) AS in_strength_mean, max(drawn) AS in_strength_max,
         min(given) AS out_strength_min, avg(given) AS out_strength_mean, max(given) AS out_strength_max
}
RETURN l.name AS layer, neurons, in_min, in_mean, in_max, out_min, out_mean, out_max, in_strength_min, in_strength_mean, in_strength_max,
       out_strength_min, out_strength_mean, out_strength_max
ORDER BY l.position
