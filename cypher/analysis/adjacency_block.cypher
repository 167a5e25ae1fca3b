// The weights between two layers, as a block of the adjacency matrix
// One row a weight, in the order of ids: what a heat map draws.
// $model STRING              model name
// $source STRING             layer that is read
// $target STRING             layer that reads it
// $limit INTEGER = 100000    rows
// -> source INTEGER          neuron that is read
// -> target INTEGER          neuron that reads it
// -> weight FLOAT            weight; a pair may have several
// :params {model: 'digits_cnn', source: 'shapes', target: 'digit', limit: 100000}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer {name: $target})
MATCH (b:Neuron) WHERE l.begin <= b.id AND b.id < l.end
MATCH (b)<-[w:WEIGHT]-(a:Neuron {layer: $source})
RETURN a.id AS source, b.id AS target, w.weight AS weight
ORDER BY target, source LIMIT $limit
