// The layers whose neurons a model returns, in their order.
// $model STRING   model name

MATCH (m:Model {name: $model})-[o:OUTPUT]->(n:Neuron)
WITH m, n.layer AS name, collect(DISTINCT o.output) AS numbers
MATCH (m)-[:HAS_LAYER]->(l:Layer {name: name})
RETURN l.name AS name, l.begin AS begin, l.end AS end, l.shape AS shape, numbers
ORDER BY l.position
