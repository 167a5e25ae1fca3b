// The layers whose neurons a model returns, in their order.
// $model STRING   model name

MATCH (m:Model {name: $model})-[:OUTPUT]->(n:Neuron)
WITH DISTINCT m, n.layer AS name
MATCH (m)-[:HAS_LAYER]->(l:Layer {name: name})
RETURN l.name AS name, l.begin AS begin, l.end AS end, l.shape AS shape
ORDER BY l.position
