// Give the layers and neurons of a model its name.
// $model STRING    model name
// $most INTEGER    neurons to rename at most: of a larger model they keep theirs

MATCH (m:Model {name: $model})
MATCH (m)-[:HAS_LAYER]->(l:Layer)
SET l.model = $model, l.key = replace(replace($model, '%', '%25'), '/', '%2F') + '/' + l.name
WITH DISTINCT m WHERE m.neurons <= $most
MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
SET n.model = $model
