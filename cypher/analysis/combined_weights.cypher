// What two layers' weights amount to together
// The product of two weight matrices that follow each other: for each neuron before the first and each of the second, the sum over all ways between.
// $model STRING           model name
// $first STRING           layer nearer to the input, such as dense_0
// $second STRING          layer that reads it, such as dense_1
// $limit INTEGER = 1000   rows, largest |weight| first
// -> source INTEGER       neuron that the first layer reads
// -> target INTEGER       neuron of the second layer
// -> weight FLOAT         combined weight
// :params {model: 'digits_cnn', first: 'shapes', second: 'digit', limit: 1000}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer {name: $second})
MATCH (c:Neuron) WHERE l.begin <= c.id AND c.id < l.end
CALL (c) {
  MATCH (c)<-[v:WEIGHT]-(b:Neuron {layer: $first})<-[w:WEIGHT]-(a:Neuron)
  RETURN a.id AS source, sum(v.weight * w.weight) AS weight
}
RETURN source, c.id AS target, weight
ORDER BY abs(weight) DESC, source, target LIMIT $limit
