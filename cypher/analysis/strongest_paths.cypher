// The strongest ways into a neuron
// Of all paths along weights the ones whose product of |weight| is largest: from the inputs, or from a layer, into a neuron such as a class.
// $model STRING              model name
// $neuron NEURON = null      its address, such as digit/4, or id; without one, the model's last neuron
// $layer STRING = null       layer to start from; without one, the inputs
// $limit INTEGER = 5         paths
// -> product FLOAT           product of |weight| along the path
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
    RETURN reduce(best = CASE WHEN a = t THEN 1.0 END, through IN COLLECT {
      MATCH (a)-[w:WEIGHT]->(b:Neuron) WHERE b.id <= last
      WITH abs(w.weight) AS weight, reach[(last - b.id) / 4096][(last - b.id) % 4096] AS follows
      RETURN weight * follows
    } | CASE WHEN through <= best THEN best ELSE coalesce(through, best) END) ORDER BY a.id DESC
  } | r] AS own
  UNWIND reach[..-1] + [i IN range(0, size(own) / 4096) | [r IN own[i * 4096..(i + 1) * 4096] | r]] AS part
  RETURN part
}) AS reach

MATCH (a:Neuron)
WHERE a.id >= m.base AND a.id < last + 1 AND a <> t AND CASE WHEN $layer IS NULL THEN a.op = 'input' ELSE a.layer = $layer END
WITH layers, last, reach, a, reach[(last - a.id) / 4096][(last - a.id) % 4096] AS best WHERE best IS NOT NULL
ORDER BY best DESC, a.id LIMIT $limit
WITH layers, last, reach, collect({at: a, product: 1.0, steps: []}) AS starts
// reach is the best that can follow: of ways begun, only the $limit that promise most can become the strongest
WITH reduce(ways = starts, l IN layers | COLLECT {
  UNWIND ways AS way
  WITH way, way.at AS a
  OPTIONAL MATCH (a)-[w:WEIGHT]->(b:Neuron) WHERE b.id <= last AND reach[(last - b.id) / 4096][(last - b.id) % 4096] IS NOT NULL
  WITH CASE WHEN w IS NULL THEN way ELSE {at: b, product: way.product * abs(w.weight), steps: way.steps + w} END AS way
  WITH way, way.at.id AS at
  RETURN way ORDER BY way.product * reach[(last - at) / 4096][(last - at) % 4096] DESC, [w IN way.steps | endNode(w).id], startNode(way.steps[0]).id
  LIMIT $limit
}) AS ways
UNWIND ways AS way
CALL (way) {
  WITH way.steps AS steps
  WITH steps, startNode(steps[0]) AS a
  MATCH path = (a)((:Neuron)-[w:WEIGHT]->(:Neuron) WHERE w IN steps){1,}(:Neuron)
  WHERE length(path) = size(steps)
  RETURN path
}
RETURN way.product AS product, [n IN nodes(path) | n.id] AS neurons, [w IN relationships(path) | w.weight] AS weights, path
ORDER BY product DESC, neurons
