// The path of the largest sum of weights
// Of all paths along weights, wherever they begin and end, one whose signed weights add up to most: NetworkX's `dag_longest_path(G, weight='weight')`.
// Where every weight is negative, that is a neuron by itself. Of weights between the same two neurons the largest counts.
// $model STRING              model name
// -> sum FLOAT               sum of the weights along the path
// -> neurons LIST OF INTEGER ids from the path's first neuron to its last
// -> weights LIST OF FLOAT   weights between them
// -> path PATH               the same, to look at in Browser
// about: Paths
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position
WITH m, collect(l) AS layers
// the largest sum of a path into each neuron so far, 0 of one that begins there; in lists of 4096: only the last of them grows with a layer
WITH m, reduce(most = [[]], l IN layers | COLLECT {
  WITH [s IN most[-1] + COLLECT {
    MATCH (b:Neuron) WHERE b.id >= l.begin AND b.id < l.end
    // compared by hand: Neo4j 5 takes no max() in here
    RETURN reduce(largest = 0.0, sum IN COLLECT {
      MATCH (b)<-[w:WEIGHT]-(a:Neuron)
      RETURN most[(a.id - m.base) / 4096][(a.id - m.base) % 4096] + w.weight
    } | CASE WHEN sum > largest THEN sum ELSE largest END) ORDER BY b.id
  } | s] AS own
  UNWIND most[..-1] + [i IN range(0, size(own) / 4096) | [s IN own[i * 4096..(i + 1) * 4096] | s]] AS part
  RETURN part
}) AS most
CALL (m, most) {
  MATCH (z:Neuron) WHERE z.id >= m.base AND z.id < m.base + m.neurons
  RETURN z ORDER BY most[(z.id - m.base) / 4096][(z.id - m.base) % 4096] DESC, z.id LIMIT 1
}
// back from its end, where every step leads on, until a neuron at which it is best to begin
MATCH path = (a:Neuron)((x)-[w:WEIGHT]->(y)
  WHERE most[(y.id - m.base) / 4096][(y.id - m.base) % 4096] > 0
    AND most[(x.id - m.base) / 4096][(x.id - m.base) % 4096] + w.weight = most[(y.id - m.base) / 4096][(y.id - m.base) % 4096]){0,}(z)
WHERE most[(a.id - m.base) / 4096][(a.id - m.base) % 4096] = 0
WITH path, most[(z.id - m.base) / 4096][(z.id - m.base) % 4096] AS sum LIMIT 1
RETURN sum, [n IN nodes(path) | n.id] AS neurons, [w IN relationships(path) | w.weight] AS weights, path
