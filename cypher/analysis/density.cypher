// How many of all possible edges a model has
// Of the whole model, edges / (neurons * (neurons - 1)); of each layer, its edges by those that there were if each of its neurons read all neurons
// of the layers that it reads (looked up through layers that only move values).
// $model STRING         model name
// -> layer STRING       layer; null for the whole model
// -> neurons INTEGER    neurons
// -> edges INTEGER      weights into them
// -> possible INTEGER   edges that there could be
// -> density FLOAT      edges / possible
// about: Overview
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (m:Model {name: $model})
CALL (m) {
  RETURN null AS layer, -1 AS position, m.neurons AS neurons, m.edges AS edges, m.neurons * (m.neurons - 1) AS possible
  UNION ALL
  MATCH (m)-[:HAS_LAYER]->(l:Layer) WHERE l.edges > 0
  MATCH (s:Layer) (()-[:FEEDS]->(v:Layer WHERE v.begin = v.end)){0,} (:Layer)-[:FEEDS]->(l) WHERE s.begin < s.end
  WITH DISTINCT l, s
  WITH l, sum(s.end - s.begin) AS sources
  RETURN l.name AS layer, l.position AS position, l.end - l.begin AS neurons, l.edges AS edges, (l.end - l.begin) * sources AS possible
}
RETURN layer, neurons, edges, possible, CASE WHEN possible > 0 THEN toFloat(edges) / possible ELSE 0.0 END AS density
ORDER BY position
