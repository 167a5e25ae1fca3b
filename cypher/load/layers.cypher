// The layers of a model that has none yet, and who feeds whom.
// $model STRING   model name
// $layers LIST    properties of the Layer nodes
// $feeds LIST     pairs of keys: from, to

MATCH (m:Model {name: $model})
CALL (m) {
  UNWIND $layers AS properties
  CREATE (m)-[:HAS_LAYER]->(l:Layer)
  SET l = properties
}
WITH DISTINCT m
UNWIND $feeds AS pair
MATCH (a:Layer {key: pair[0]})
MATCH (b:Layer {key: pair[1]})
CREATE (a)-[:FEEDS]->(b)
