// What the axes of layers' outputs are, where that is known.
// $model STRING   model name

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer)
RETURN l.name AS name, l.axes AS axes
