// The widest way into a neuron
// For each start the path whose least |weight| is largest; the widest first. From the inputs, or from a layer, into a neuron such as a class.
// $model STRING              model name
// $neuron NEURON = null      its address, such as digit/4, or id; without one, the model's last neuron
// $layer STRING = null       layer to start from; without one, the inputs
// $limit INTEGER = 5         paths
// -> width FLOAT             least |weight| along the path
// -> neurons LIST OF INTEGER ids from the start to the neuron
// -> weights LIST OF FLOAT   weights between them
// -> path PATH               the same, to look at in Browser
// about: Paths
// :param [{model, neuron, layer, limit}] => {RETURN 'digits_cnn' AS model, null AS neuron, null AS layer, 5 AS limit}

MATCH (m:Model {name: $model})
MATCH (t:Neuron {id: coalesce($neuron, m.base + m.neurons - 1)}) WHERE t.id >= m.base AND t.id < m.base + m.neurons
// backwards: what can follow a neuron on its way to t, from t's layer to the one to start from
CALL (m, t) {
  MATCH (m)-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end AND l.begin <= t.id
  WITH l ORDER BY l.position DESC
  WITH collect(l) AS layers, coalesce(min(CASE l.name WHEN $layer THEN l.position END), 0) AS first
  RETURN [l IN layers WHERE l.position >= first] AS layers
}
WITH m, t, layers, head(layers).end - 1 AS last
// in lists of 4096: only the last of them grows with a layer
WITH m, t, layers, last, reduce(reach = [[]], l IN layers | COLLECT {
  WITH [r IN reach[-1] + COLLECT {
    MATCH (a:Neuron) WHERE a.id >= l.begin AND a.id < l.end
    // compared by hand: Neo4j 5 takes no max() in here
    RETURN reduce(best = CASE WHEN a = t THEN 1.0e300 END, through IN COLLECT {
      MATCH (a)-[w:WEIGHT]->(b:Neuron) WHERE b.id <= last
      WITH abs(w.weight) AS weight, reach[(last - b.id) / 4096][(last - b.id) % 4096] AS follows
      RETURN CASE WHEN weight < follows THEN weight ELSE follows END
    } | CASE WHEN through <= best THEN best ELSE coalesce(through, best) END) ORDER BY a.id DESC
  } | r] AS own
  UNWIND reach[..-1] + [i IN range(0, size(own) / 4096) | [r IN own[i * 4096..(i + 1) * 4096] | r]] AS part
  RETURN part
}) AS reach

// the $limit starts with the widest. No rows are sorted here, since each would hold all of reach: the index has them in order, and the least width that
// counts is a percentile
WITH t, last, reach, COLLECT {
  MATCH (a:Neuron)
  WHERE $limit > 0 AND a.id >= m.base AND a.id < last + 1 AND a <> t AND CASE WHEN $layer IS NULL THEN a.op = 'input' ELSE a.layer = $layer END
    AND reach[(last - a.id) / 4096][(last - a.id) % 4096] IS NOT NULL
  RETURN a.id ORDER BY a.id
} AS starts
CALL (last, reach, starts) {
  UNWIND starts AS start
  WITH reach[(last - start) / 4096][(last - start) % 4096] AS width
  RETURN percentileDisc(width, CASE WHEN size(starts) > $limit THEN (size(starts) - $limit + 0.5) / size(starts) ELSE 0.0 END) AS least
}
WITH t, last, reach, least, [start IN starts WHERE reach[(last - start) / 4096][(last - start) % 4096] > least | start] AS wider,
  [start IN starts WHERE reach[(last - start) / 4096][(last - start) % 4096] = least | start] AS equal
UNWIND wider + equal[..$limit - size(wider)] AS start
MATCH (a:Neuron {id: start})
WITH a, t.id AS end, last, reach, reach[(last - start) / 4096][(last - start) % 4096] AS width
CALL (a, end, last, reach) {
  // from the start on, where every step leads on: the sum keeps the planner from beginning at the end
  MATCH path = (a)((x)-[w:WEIGHT]->(y)
    WHERE y.id + 0 <= last AND reach[(last - x.id) / 4096][(last - x.id) % 4096] = CASE
      WHEN abs(w.weight) < reach[(last - y.id) / 4096][(last - y.id) % 4096] THEN abs(w.weight)
      ELSE reach[(last - y.id) / 4096][(last - y.id) % 4096] END)+(z:Neuron)
  WHERE z.id + 0 = end
  RETURN path LIMIT 1
}
// counted, rows no longer hold reach and can be sorted
WITH width, path, count(*) AS one
RETURN width, [n IN nodes(path) | n.id] AS neurons, [w IN relationships(path) | w.weight] AS weights, path
ORDER BY width DESC, neurons[0]
