// What two layers' weights amount to together
// The product of two weight matrices that follow each other: for each neuron before the first and each of the second, the sum over all ways between.
// For layers like Dense: the time grows with the number of ways, whatever the limit. A layer that only moves values stands for those it shows.
// $model STRING                     model name
// $first STRING                     layer nearer to the input, such as dense_0
// $second STRING                    layer that reads it, such as dense_1
// $limit INTEGER = 1000             rows, largest |weight| first
// -> source INTEGER                 neuron that the first layer reads
// -> source_layer STRING            its layer
// -> source_index LIST OF INTEGER   its place in it
// -> target INTEGER                 neuron of the second layer
// -> target_layer STRING            its layer
// -> target_index LIST OF INTEGER   its place in it
// -> weight FLOAT                   combined weight
// about: Weights
// :param [{model, first, second, limit}] => {RETURN 'digits_cnn' AS model, 'pool' AS first, 'digit' AS second, 1000 AS limit}

MATCH (m:Model {name: $model})
CALL (m) {
  MATCH (m)-[:HAS_LAYER]->(:Layer {name: $first}) ((v:Layer WHERE v.begin = v.end)<-[:FEEDS]-()){0,} (f:Layer) WHERE f.begin < f.end
  RETURN collect(DISTINCT f.name) AS firsts
}
CALL (m) {
  MATCH (m)-[:HAS_LAYER]->(:Layer {name: $second}) ((v:Layer WHERE v.begin = v.end)<-[:FEEDS]-()){0,} (l:Layer) WHERE l.begin < l.end
  RETURN DISTINCT l
}
MATCH (c:Neuron) WHERE c.id >= l.begin AND c.id < l.end
CALL (c, firsts) {
  MATCH (c)<-[v:WEIGHT]-(b:Neuron)<-[w:WEIGHT]-(a:Neuron) WHERE b.layer IN firsts
  RETURN a, sum(v.weight * w.weight) AS weight
}
WITH a, c, weight ORDER BY abs(weight) DESC, a.id, c.id LIMIT $limit
RETURN a.id AS source, a.layer AS source_layer, a.index AS source_index, c.id AS target, c.layer AS target_layer, c.index AS target_index, weight
ORDER BY abs(weight) DESC, source, target
