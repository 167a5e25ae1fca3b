// Where a model's neurons lie, and how many weights go into each layer.
// $model STRING   model name

MATCH (m:Model {name: $model})
OPTIONAL MATCH (m)-[:HAS_LAYER]->(l:Layer)
WITH m, l ORDER BY l.position
RETURN m.state AS state, m.base AS base, m.neurons AS neurons, m.edges AS edges, m.sha256 AS sha256,
       collect(l {.name, .begin, .end, .edges, .shape}) AS layers
