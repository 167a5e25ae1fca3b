// The strongest ways into a neuron
// Of all paths along weights the ones whose product of |weight| is largest: from the inputs, or from a layer, into a neuron such as a class.
// $model STRING              model name
// $neuron INTEGER = null     id of the neuron; without one, the model's last neuron
// $layer STRING = null       layer to start from; without one, the inputs
// $limit INTEGER = 5         paths
// -> product FLOAT           product of |weight| along the path
// -> neurons LIST OF INTEGER ids from the start to the neuron
// -> weights LIST OF FLOAT   weights between them
// -> path PATH               the same, to look at in Browser
// writes: reach
// :param [{model, neuron, layer, limit}] => {RETURN 'digits_cnn' AS model, null AS neuron, null AS layer, 5 AS limit}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position DESC
WITH m, collect(l) AS layers, coalesce(min(CASE l.name WHEN $layer THEN l.position END), 0) AS first
WITH m, [l IN layers WHERE l.position >= first] AS layers
MATCH (t:Neuron {id: coalesce($neuron, m.base + m.neurons - 1)}) WHERE t.id >= m.base AND t.id < m.base + m.neurons
CALL (t) {
  SET t.reach = 1.0
}
CALL (layers, t) {
  UNWIND layers AS l
  CALL (l, t) {
    MATCH (a:Neuron) WHERE a.id >= l.begin AND a.id < l.end AND a <> t
    MATCH (a)-[w:WEIGHT]->(b:Neuron) WHERE b.reach IS NOT NULL
    WITH a, max(abs(w.weight) * b.reach) AS reach
    SET a.reach = reach
  }
  RETURN count(*) AS walked
}
CALL (m, t, layers) {
  MATCH (a:Neuron)
  WHERE a.id >= m.base AND a.id < m.base + m.neurons AND a <> t AND a.reach IS NOT NULL AND CASE WHEN $layer IS NULL THEN a.op = 'input' ELSE a.layer = $layer END
  WITH layers, a ORDER BY a.reach DESC, a.id LIMIT $limit
  WITH layers, collect({at: a, product: 1.0, steps: []}) AS starts
  // reach is the best that can follow: of ways begun, only the $limit that promise most can become the strongest
  WITH reduce(ways = starts, l IN layers | COLLECT {
    UNWIND ways AS way
    WITH way, way.at AS a
    OPTIONAL MATCH (a)-[w:WEIGHT]->(b:Neuron) WHERE b.reach IS NOT NULL
    WITH CASE WHEN w IS NULL THEN way ELSE {at: b, product: way.product * abs(w.weight), steps: way.steps + w} END AS way
    RETURN way ORDER BY way.product * way.at.reach DESC, [w IN way.steps | endNode(w).id], startNode(way.steps[0]).id LIMIT $limit
  }) AS ways
  UNWIND ways AS way
  CALL (way) {
    WITH way.steps AS steps
    WITH steps, startNode(steps[0]) AS a
    MATCH path = (a)((:Neuron)-[w:WEIGHT]->(:Neuron) WHERE w IN steps){1,}(:Neuron)
    WHERE length(path) = size(steps)
    RETURN path
  }
  RETURN collect({product: way.product, neurons: [n IN nodes(path) | n.id], weights: [w IN relationships(path) | w.weight], path: path}) AS found
}
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  SET n.reach = null
}
UNWIND found AS one
RETURN one.product AS product, one.neurons AS neurons, one.weights AS weights, one.path AS path
ORDER BY product DESC, neurons
