// Everything after a layer, towards the output
// The layers of the file that depend on a layer, and the layer itself.
// $model STRING      model name
// $layer STRING      layer
// -> layer STRING    layer
// :param [{model, layer}] => {RETURN 'digits_cnn' AS model, 'shapes' AS layer}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(:Layer {name: $layer})-[:FEEDS*0..]->(l:Layer)
WITH DISTINCT l WHERE NOT l.type IN ['sum', 'max', 'min', 'product']
RETURN l.name AS layer
ORDER BY l.position
