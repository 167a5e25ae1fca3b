// How many of all possible edges a model has
// Of the whole model, edges / (neurons * (neurons - 1)); of each layer, its edges by those of a layer that reads all neurons of all the layers it reads.
// $model STRING         model name
// -> layer STRING       layer; null for the whole model
// -> neurons INTEGER    neurons
// -> edges INTEGER      weights into them
// -> possible INTEGER   edges that there could be
// -> density FLOAT      edges / possible
// :params {model: 'digits_cnn'}

MATCH (m:Model {name: $model})
CALL (m) {
  RETURN null AS layer, -1 AS position, m.neurons AS neurons, m.edges AS edges, m.neurons * (m.neurons - 1) AS possible
  UNION ALL
  MATCH (m)-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end AND l.edges > 0
  MATCH (k:Neuron) WHERE l.begin <= k.id AND k.id < l.end
  WITH l, collect(k)[0..1000] AS some
  CALL (some) {
    UNWIND some AS k
    MATCH (k)<-[:WEIGHT]-(a:Neuron)
    RETURN collect(DISTINCT a.layer) AS read
  }
  MATCH (s:Layer {model: l.model}) WHERE s.name IN read
  WITH l, sum(s.end - s.begin) AS sources
  RETURN l.name AS layer, l.position AS position, l.end - l.begin AS neurons, l.edges AS edges, (l.end - l.begin) * sources AS possible
}
RETURN layer, neurons, edges, possible, CASE WHEN possible > 0 THEN toFloat(edges) / possible ELSE 0.0 END AS density
ORDER BY position
