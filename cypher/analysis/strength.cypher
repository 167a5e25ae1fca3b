// The neurons whose weights add up to most
// Strength is the sum of a neuron's signed weights, in and out; the largest absolute values first.
// $model STRING              model name
// $layer STRING = null       layer; without one, all of them
// $limit INTEGER = 20        rows
// -> id INTEGER              neuron
// -> layer STRING            its layer
// -> index LIST OF INTEGER   its place in it
// -> incoming FLOAT          sum of the weights into it
// -> outgoing FLOAT          sum of the weights out of it
// -> strength FLOAT          both
// about: Measures
// :param [{model, layer, limit}] => {RETURN 'digits_cnn' AS model, null AS layer, 20 AS limit}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end AND ($layer IS NULL OR l.name = $layer)
CALL (l) {
  MATCH (n:Neuron) WHERE n.id >= l.begin AND n.id < l.end
  CALL (n) {
    OPTIONAL MATCH (n)<-[w:WEIGHT]-()
    RETURN toFloat(sum(w.weight)) AS incoming
  }
  CALL (n) {
    OPTIONAL MATCH (n)-[w:WEIGHT]->()
    RETURN toFloat(sum(w.weight)) AS outgoing
  }
  RETURN n.id AS id, n.index AS index, incoming, outgoing
}
RETURN id, l.name AS layer, index, incoming, outgoing, incoming + outgoing AS strength
ORDER BY abs(strength) DESC, id LIMIT $limit
