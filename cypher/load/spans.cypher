// The layers of a model that have neurons, last one first.
// $model STRING   model name

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.end > l.begin
RETURN l.begin AS begin, l.end AS end, l.edges AS edges
ORDER BY l.position DESC
