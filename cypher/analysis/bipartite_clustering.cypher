// How much neurons share their neighbours
// Over weights above zero: for each pair of neurons with a common neighbour, common neighbours by the larger degree; mean over all such partners.
// $model STRING          model name
// $layer STRING          layer
// $limit INTEGER = 100   rows; the time grows with (degree)^2 of each
// -> id INTEGER          neuron
// -> value FLOAT         clustering, from 0 to 1; null without partners
// :params {model: 'digits_cnn', layer: 'digit', limit: 100}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer {name: $layer})
MATCH (u:Neuron) WHERE l.begin <= u.id AND u.id < l.end
WITH u ORDER BY u.id LIMIT $limit
CALL (u) {
  MATCH (u)-[a:WEIGHT]-(:Neuron) WHERE a.weight > 0
  RETURN count(a) AS own
}
CALL (u, own) {
  MATCH (u)-[a:WEIGHT]-(:Neuron)-[b:WEIGHT]-(v:Neuron) WHERE a.weight > 0 AND b.weight > 0 AND v <> u
  WITH v, count(*) AS common
  CALL (v) {
    MATCH (v)-[c:WEIGHT]-(:Neuron) WHERE c.weight > 0
    RETURN count(c) AS theirs
  }
  RETURN avg(toFloat(common) / CASE WHEN theirs > own THEN theirs ELSE own END) AS value
}
RETURN u.id AS id, value
ORDER BY id
