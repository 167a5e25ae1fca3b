// The adjacency matrix, seen from far away
// All weights, or those between two layers, counted in cells: a cell is some neurons that follow each other in a layer, by some of a layer that reads it.
// Larger layers have more cells, by the square root of their size. A layer that only moves values stands for those it shows.
// $model STRING              model name
// $source STRING = null      layer that is read; without one, all of them
// $target STRING = null      layer that reads; without one, all of them
// $bins INTEGER = 300        about how many cells a side has, at most twice as many
// -> source_layer STRING     layer that is read
// -> source_begin INTEGER    the cell's first neuron in it
// -> source_end INTEGER      the one after its last
// -> target_layer STRING     layer that reads
// -> target_begin INTEGER    the cell's first neuron in it
// -> target_end INTEGER      the one after its last
// -> edges INTEGER           weights in the cell
// -> mean FLOAT              their mean
// about: Weights
// :param [{model, source, target, bins}] => {RETURN 'digits_cnn' AS model, null AS source, null AS target, 300 AS bins}

MATCH (m:Model {name: $model})
CALL (m) {
  MATCH (m)-[:HAS_LAYER]->(:Layer {name: $source}) ((v:Layer WHERE v.begin = v.end)<-[:FEEDS]-()){0,} (s:Layer) WHERE s.begin < s.end
  RETURN DISTINCT s
  UNION
  MATCH (m)-[:HAS_LAYER]->(s:Layer) WHERE $source IS NULL AND s.begin < s.end
  RETURN s
}
WITH m, collect(s) AS sources
CALL (m) {
  MATCH (m)-[:HAS_LAYER]->(:Layer {name: $target}) ((v:Layer WHERE v.begin = v.end)<-[:FEEDS]-()){0,} (t:Layer) WHERE t.begin < t.end
  RETURN DISTINCT t
  UNION
  MATCH (m)-[:HAS_LAYER]->(t:Layer) WHERE $target IS NULL AND t.begin < t.end
  RETURN t
}
WITH sources, collect(t) AS targets
WITH sources, targets, reduce(x = 0.0, s IN sources | x + sqrt(s.end - s.begin)) AS high, reduce(x = 0.0, t IN targets | x + sqrt(t.end - t.begin)) AS wide
UNWIND targets AS t
MATCH (s:Layer) (()-[:FEEDS]->(v:Layer WHERE v.begin = v.end)){0,} (:Layer)-[:FEEDS]->(t) WHERE s IN sources AND t.edges > 0
WITH DISTINCT s, t, s.end - s.begin AS rows, t.end - t.begin AS columns, high, wide
WITH s, t, rows, columns, toInteger(ceil($bins * sqrt(rows) / high)) AS down, toInteger(ceil($bins * sqrt(columns) / wide)) AS across
// nearly a cell for each neuron: one for each, so that no pattern comes from the counting
WITH s, t, rows, columns, CASE WHEN 2 * down < rows THEN down ELSE rows END AS down, CASE WHEN 2 * across < columns THEN across ELSE columns END AS across
CALL (s, t, rows, columns, down, across) {
  MATCH (b:Neuron) WHERE b.id >= t.begin AND b.id < t.end
  MATCH (b)<-[w:WEIGHT]-(a:Neuron) WHERE a.id >= s.begin AND a.id < s.end
  RETURN (a.id - s.begin) * down / rows AS y, (b.id - t.begin) * across / columns AS x, count(w) AS edges, avg(w.weight) AS mean
}
RETURN s.name AS source_layer, s.begin + (y * rows + down - 1) / down AS source_begin, s.begin + ((y + 1) * rows + down - 1) / down AS source_end,
       t.name AS target_layer, t.begin + (x * columns + across - 1) / across AS target_begin,
       t.begin + ((x + 1) * columns + across - 1) / across AS target_end, edges, mean
ORDER BY source_begin, target_begin
