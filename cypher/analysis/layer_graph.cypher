// Which layer feeds which
// The layers of a model with their connections, to look at in Browser.
// $model STRING             model name
// -> source NODE            layer
// -> feeds RELATIONSHIP     null where it feeds nobody
// -> target NODE            layer that reads it
// about: Overview
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer)
OPTIONAL MATCH (l)-[f:FEEDS]->(k:Layer)
RETURN l AS source, f AS feeds, k AS target
ORDER BY l.position, k.position
