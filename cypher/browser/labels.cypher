// The layers of a model that have neurons, in order: the label of their neurons, and what part they play.
// $model STRING   model name

MATCH (m:Model {name: $model})
CALL (m) {
  MATCH (m)-[:OUTPUT]->(n:Neuron)
  RETURN collect(DISTINCT n.layer) AS returned
}
MATCH (m)-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
MATCH (n:Neuron {id: l.begin})
WITH l, [each IN labels(n) WHERE each <> 'Neuron'][0] AS label, CASE WHEN l.name IN returned THEN 'output' WHEN n.op = 'input' THEN 'input' ELSE 'hidden' END AS role
RETURN label, role
ORDER BY l.position
