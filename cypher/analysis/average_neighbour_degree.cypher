// How well connected the neighbours of neurons are
// Weighted mean of the neighbours' degrees, sum(w_ij k_j) / s_i, with signed weights, undirected (Barrat et al., doi 10.1073/pnas.0400087101).
// $model STRING              model name
// $layer STRING              layer
// $limit INTEGER = 100       rows
// -> id INTEGER              neuron
// -> layer STRING            its layer
// -> index LIST OF INTEGER   its place in it
// -> value FLOAT             average neighbour degree; null where its weights add up to nothing
// about: Measures
// :param [{model, layer, limit}] => {RETURN 'digits_cnn' AS model, 'digit' AS layer, 100 AS limit}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer {name: $layer})
MATCH (n:Neuron) WHERE n.id >= l.begin AND n.id < l.end
WITH n ORDER BY n.id LIMIT $limit
CALL (n) {
  MATCH (n)-[w:WEIGHT]-(j:Neuron)
  RETURN sum(w.weight * COUNT { (j)-[:WEIGHT]-() }) AS reached, sum(w.weight) AS strength
}
RETURN n.id AS id, n.layer AS layer, n.index AS index, CASE WHEN strength <> 0 THEN reached / strength END AS value
ORDER BY id
