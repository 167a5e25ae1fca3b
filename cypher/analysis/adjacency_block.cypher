// The weights between two layers, as a block of the adjacency matrix
// One row a weight, in the order of ids: what a heat map draws. A layer that only moves values (Flatten, Dropout ...) stands for those it shows.
// $model STRING                     model name
// $source STRING                    layer that is read
// $target STRING                    layer that reads it
// $limit INTEGER = 100000           rows
// -> source INTEGER                 neuron that is read
// -> source_layer STRING            its layer
// -> source_index LIST OF INTEGER   its place in it
// -> target INTEGER                 neuron that reads it
// -> target_layer STRING            its layer
// -> target_index LIST OF INTEGER   its place in it
// -> weight FLOAT                   weight; a pair may have several
// about: Weights
// :param [{model, source, target, limit}] => {RETURN 'digits_cnn' AS model, 'shapes' AS source, 'pool' AS target, 100000 AS limit}

MATCH (m:Model {name: $model})
CALL (m) {
  MATCH (m)-[:HAS_LAYER]->(:Layer {name: $source}) ((v:Layer WHERE v.begin = v.end)<-[:FEEDS]-()){0,} (s:Layer) WHERE s.begin < s.end
  RETURN collect(DISTINCT s.name) AS sources
}
CALL (m) {
  MATCH (m)-[:HAS_LAYER]->(:Layer {name: $target}) ((v:Layer WHERE v.begin = v.end)<-[:FEEDS]-()){0,} (t:Layer) WHERE t.begin < t.end
  WITH DISTINCT t
  RETURN t ORDER BY t.position
}
MATCH (b:Neuron) WHERE b.id >= t.begin AND b.id < t.end
WITH sources, b ORDER BY b.id
CALL (sources, b) {
  MATCH (b)<-[w:WEIGHT]-(a:Neuron) WHERE a.layer IN sources
  RETURN a, w.weight AS weight ORDER BY a.id
}
RETURN a.id AS source, a.layer AS source_layer, a.index AS source_index, b.id AS target, b.layer AS target_layer, b.index AS target_index, weight
ORDER BY target, source LIMIT $limit
