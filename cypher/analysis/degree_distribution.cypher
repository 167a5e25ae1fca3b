// How many neurons have which degree
// For each layer, and for weights coming in and going out, how many neurons have how many of them.
// $model STRING          model name
// $layer STRING = null   layer; without one, all of them
// -> layer STRING        layer
// -> direction STRING    in or out
// -> degree INTEGER      weights of a neuron
// -> neurons INTEGER     neurons with that many
// about: Measures
// :param [{model, layer}] => {RETURN 'digits_cnn' AS model, null AS layer}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end AND ($layer IS NULL OR l.name = $layer)
CALL (l) {
  MATCH (n:Neuron) WHERE n.id >= l.begin AND n.id < l.end
  RETURN 'in' AS direction, COUNT { (n)<-[:WEIGHT]-() } AS degree, count(*) AS neurons
  UNION ALL
  MATCH (n:Neuron) WHERE n.id >= l.begin AND n.id < l.end
  RETURN 'out' AS direction, COUNT { (n)-[:WEIGHT]->() } AS degree, count(*) AS neurons
}
RETURN l.name AS layer, direction, degree, neurons
ORDER BY l.position, direction, degree
