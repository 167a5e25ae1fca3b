// Layers that everything must pass
// The layers of the file without which no way leads from an input to an output: between two of them a model can be split.
// $model STRING          model name
// -> layer STRING        layer
// -> type STRING         its kind
// -> position INTEGER    its place among the layers
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer)
WITH m, collect(l) AS layers
CALL (m, layers) {
  UNWIND layers AS l
  WITH m, l WHERE l.name IN m.inputs
  MATCH (l)-[:FEEDS*0..]->(after:Layer)
  RETURN collect(DISTINCT after) AS reached
}
CALL (m, layers, reached) {
  UNWIND layers AS l
  WITH m, l, reached WHERE l.name IN m.outputs
  MATCH (before:Layer)-[:FEEDS*0..]->(l)
  WITH DISTINCT before, reached WHERE before IN reached
  RETURN collect(before) AS used
}
CALL (used) {
  UNWIND used AS a
  MATCH (a)-[:FEEDS]->(b:Layer) WHERE b IN used
  RETURN collect([a.position, b.position]) AS jumps
}
WITH m, used, jumps, [l IN used WHERE l.name IN m.inputs | l.position] AS begins, [l IN used WHERE l.name IN m.outputs | l.position] AS ends
UNWIND used AS l
WITH l, jumps, begins, ends
WHERE NOT l.type IN ['sum', 'max', 'min', 'product']
  AND none(jump IN jumps WHERE jump[0] < l.position AND l.position < jump[1])
  AND all(begin IN begins WHERE begin <= l.position) AND all(end IN ends WHERE l.position <= end)
RETURN l.name AS layer, l.type AS type, l.position AS position
ORDER BY position
