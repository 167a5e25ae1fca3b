// What the axes of layers' outputs are, where that is known; the only axis of a layer of single neurons counts its units.
// $model STRING   model name

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer)
RETURN l.name AS name, CASE WHEN l.axes = 'channel' AND NOT coalesce(m.selection, '') CONTAINS '--granularity' THEN 'unit' ELSE l.axes END AS axes
