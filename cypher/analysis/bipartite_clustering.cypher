// How much neurons share their neighbours
// Over weights above zero: for each pair of neurons with a common neighbour, common neighbours by the larger degree; mean over all such partners.
// For some neurons of a layer: the time grows with (degree)^2 of each. For all of them `etl measure` is quicker.
// $model STRING              model name
// $layer STRING              layer
// $limit INTEGER = 100       rows
// -> id INTEGER              neuron
// -> layer STRING            its layer
// -> index LIST OF INTEGER   its place in it
// -> value FLOAT             clustering, from 0 to 1; null without partners
// about: Measures
// :param [{model, layer, limit}] => {RETURN 'digits_cnn' AS model, 'digit' AS layer, 100 AS limit}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer {name: $layer})
MATCH (u:Neuron) WHERE u.id >= l.begin AND u.id < l.end
WITH u ORDER BY u.id LIMIT $limit
CALL (u) {
  OPTIONAL MATCH (u)-[a:WEIGHT]-(k:Neuron) WHERE a.weight > 0
  WITH u, collect(DISTINCT k) AS near
  UNWIND CASE near WHEN [] THEN [null] ELSE near END AS k
  OPTIONAL MATCH (k)-[b:WEIGHT]-(v:Neuron) WHERE b.weight > 0 AND v <> u
  RETURN v, count(DISTINCT k) AS common, size(near) AS own
}
WITH v, collect({of: u, common: common, own: own}) AS partners
CALL (v) {
  OPTIONAL MATCH (v)-[c:WEIGHT]-(k:Neuron) WHERE c.weight > 0
  RETURN count(DISTINCT k) AS theirs
}
UNWIND partners AS p
WITH p.of AS u, avg(CASE WHEN v IS NOT NULL THEN toFloat(p.common) / CASE WHEN theirs > p.own THEN theirs ELSE p.own END END) AS value
RETURN u.id AS id, u.layer AS layer, u.index AS index, value
ORDER BY id
