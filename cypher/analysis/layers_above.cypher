// Everything after a layer, towards the output
// The layers of the file that depend on a layer, and the layer itself. A layer that is called several times (`name:1`) counts once.
// $model STRING      model name
// $layer STRING      layer; of one that is called several times, what depends on any of its calls
// -> layer STRING    layer
// about: Overview
// :param [{model, layer}] => {RETURN 'digits_cnn' AS model, 'shapes' AS layer}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer)
WITH collect(l) AS layers, collect(l.name) AS names
UNWIND layers AS l
WITH l, names, reduce(own = '', part IN split(l.name, '/') | own + '/' + CASE WHEN part =~ '.+:\\d+' THEN split(part, ':')[0] ELSE part END) AS own
WITH collect({at: l, layer: CASE WHEN substring(own, 1) IN names THEN substring(own, 1) ELSE l.name END}) AS calls
UNWIND [call IN calls WHERE $layer IN [call.layer, call.at.name] | call.at] AS start
MATCH (start)-[:FEEDS*0..]->(l:Layer)
WITH calls, collect(DISTINCT l) AS found
UNWIND [call IN calls WHERE call.at IN found AND NOT call.at.type IN ['sum', 'max', 'min', 'product']] AS call
WITH call.layer AS layer, min(call.at.position) AS position
RETURN layer
ORDER BY position
