// A model whose neurons are gone.
// $model STRING   model name

MATCH (m:Model {name: $model})
OPTIONAL MATCH (m)-[:HAS_LAYER]->(l:Layer)
DETACH DELETE l, m
