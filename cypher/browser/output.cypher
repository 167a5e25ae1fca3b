// The first of a model's outputs that weights lead into.
// $model STRING   model name

MATCH (m:Model {name: $model})-[o:OUTPUT]->(n:Neuron)
WHERE EXISTS { (n)<-[:WEIGHT]-() }
WITH m, n ORDER BY o.output, o.position LIMIT 1
RETURN n.id AS id
