// In how many cliques a neuron is
// Layers make no triangles, so a maximal clique is a pair of neurons: the number of those that a neuron shares a weight above zero with.
// $model STRING              model name
// $layer STRING = null       layer; without one, all of them
// $limit INTEGER = 100       rows, most cliques first
// -> id INTEGER              neuron
// -> layer STRING            its layer
// -> index LIST OF INTEGER   its place in it
// -> cliques INTEGER         neighbours over weights above zero, in and out
// about: Measures
// :param [{model, layer, limit}] => {RETURN 'digits_cnn' AS model, null AS layer, 100 AS limit}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end AND ($layer IS NULL OR l.name = $layer)
CALL (l) {
  MATCH (n:Neuron) WHERE n.id >= l.begin AND n.id < l.end
  CALL (n) {
    MATCH (n)-[w:WEIGHT]-(k:Neuron) WHERE w.weight > 0
    RETURN count(DISTINCT k) AS cliques
  }
  RETURN n.id AS id, n.index AS index, cliques
}
RETURN id, l.name AS layer, index, cliques
ORDER BY cliques DESC, id LIMIT $limit
