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

WITH m, layers, last, reach, COLLECT {
  MATCH (a:Neuron)
  WHERE $limit > 0 AND a.id >= m.base AND a.id < last + 1 AND a <> t AND CASE WHEN $layer IS NULL THEN a.op = 'input' ELSE a.layer = $layer END
    AND reach[(last - a.id) / 4096][(last - a.id) % 4096] IS NOT NULL
  RETURN {at: a, product: 1.0, steps: [], tie: a.id - m.base}
} AS starts
// reach is the best that can follow: of ways begun, only the $limit that promise most can become the strongest, and of equal ones those whose ids
// hash to most. No rows are sorted here, since each would hold all of reach: the least that counts is found by halving the list around a pivot
WITH reduce(ways = starts, l IN [null] + layers | COLLECT {
  WITH COLLECT {
    UNWIND ways AS way
    WITH way, way.at AS a
    OPTIONAL MATCH (a)-[w:WEIGHT]->(b:Neuron) WHERE l IS NOT NULL AND b.id <= last AND reach[(last - b.id) / 4096][(last - b.id) % 4096] IS NOT NULL
    WITH way, w, coalesce(abs(w.weight), 1.0) AS weight, coalesce(b, a).id AS at
    RETURN [way.product * weight * reach[(last - at) / 4096][(last - at) % 4096],
      CASE WHEN w IS NULL THEN way.tie ELSE (way.tie * 8191 + at - m.base) % 2147483647 END]
  } AS promises
  WITH CASE WHEN size(promises) > $limit THEN reduce(search = {among: promises, wanted: $limit}, n IN range(1, 64) |
    CASE WHEN size(search.among) = 1 THEN search ELSE head([pivot IN [search.among[size(search.among) / 2]] | CASE
      WHEN size([p IN search.among WHERE p > pivot]) >= search.wanted
        THEN {among: [p IN search.among WHERE p > pivot], wanted: search.wanted}
      WHEN size([p IN search.among WHERE p >= pivot]) >= search.wanted THEN {among: [pivot], wanted: 1}
      ELSE {among: [p IN search.among WHERE p < pivot], wanted: search.wanted - size([p IN search.among WHERE p >= pivot])}
    END]) END).among ELSE promises END AS among
  WITH reduce(least = head(among), p IN among | CASE WHEN p < least THEN p ELSE least END) AS least
  WITH least, COLLECT {
    UNWIND ways AS way
    WITH way, way.at AS a
    OPTIONAL MATCH (a)-[w:WEIGHT]->(b:Neuron) WHERE l IS NOT NULL AND b.id <= last AND reach[(last - b.id) / 4096][(last - b.id) % 4096] IS NOT NULL
    WITH way, w, coalesce(abs(w.weight), 1.0) AS weight, coalesce(b, a) AS at
    WITH way, w, at, way.product * weight AS product,
      CASE WHEN w IS NULL THEN way.tie ELSE (way.tie * 8191 + at.id - m.base) % 2147483647 END AS tie
    WITH way, w, at, product, tie, [product * reach[(last - at.id) / 4096][(last - at.id) % 4096], tie] AS promise WHERE promise >= least
    RETURN {at: at, product: product, steps: CASE WHEN w IS NULL THEN way.steps ELSE way.steps + w END, tie: tie, promise: promise}
  } AS chosen
  // two edges may join a pair of neurons: such ways promise the same
  UNWIND ([way IN chosen WHERE way.promise > least] + [way IN chosen WHERE way.promise = least])[..$limit] AS way
  RETURN way
}) AS ways
UNWIND ways AS way
// counted, rows no longer hold reach and can be sorted
WITH way, count(*) AS one
CALL (way) {
  WITH way.steps AS steps
  WITH steps, startNode(steps[0]) AS a
  MATCH path = (a)((:Neuron)-[w:WEIGHT]->(:Neuron) WHERE w IN steps){1,}(:Neuron)
  WHERE length(path) = size(steps)
  RETURN path
}
RETURN way.product AS product, [n IN nodes(path) | n.id] AS neurons, [w IN relationships(path) | w.weight] AS weights, path
ORDER BY product DESC, neurons
