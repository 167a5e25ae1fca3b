// Layers that everything must pass
// The layers of the file without which no way leads from an input to an output: after each of them `etl split --at` cuts the model in two.
// A layer that is called several times (`name:1`) counts once, with all of its calls.
// $model STRING          model name
// -> layer STRING        layer
// -> type STRING         its kind
// -> position INTEGER    its place among the layers
// about: Overview
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer)
WITH m, collect(l) AS layers
WITH layers, [l IN layers WHERE l.name IN m.inputs] AS begins, [l IN layers WHERE l.name IN m.outputs] AS ends, [l IN layers | l.name] AS names
UNWIND layers AS l
WITH l, begins, ends, names, reduce(own = '', part IN split(l.name, '/') | own + '/' + CASE WHEN part =~ '.+:\\d+' THEN split(part, ':')[0] ELSE part END) AS own
WITH l, begins, ends, CASE WHEN substring(own, 1) IN names THEN substring(own, 1) ELSE l.name END AS layer
WHERE NOT l.type IN ['sum', 'max', 'min', 'product', 'InputLayer']
WITH layer, begins, ends, collect(l) AS calls, head(collect(l.type)) AS type, min(l.position) AS position
CALL (calls, begins, ends) {
  UNWIND begins AS begin
  MATCH way = (begin)-[:FEEDS*0..]->(end:Layer) WHERE none(l IN nodes(way) WHERE l IN calls)
  WITH DISTINCT end, ends
  RETURN count(CASE WHEN end IN ends THEN 1 END) AS around
}
CALL (calls, ends) {
  UNWIND calls AS call
  MATCH (call)-[:FEEDS*1..]->(end:Layer)
  WITH DISTINCT end, ends
  RETURN count(CASE WHEN end IN ends THEN 1 END) AS after
}
WITH layer, type, position WHERE around = 0 AND after > 0
RETURN layer, type, position
ORDER BY position
