// The widest way into a neuron
// For each start the path whose least |weight| is largest; the widest first. From the inputs, or from a layer, into a neuron such as a class.
// $model STRING              model name
// $neuron INTEGER = null     id of the neuron; without one, the model's last neuron
// $layer STRING = null       layer to start from; without one, the inputs
// $limit INTEGER = 5         paths
// -> width FLOAT             least |weight| along the path
// -> neurons LIST OF INTEGER ids from the start to the neuron
// -> weights LIST OF FLOAT   weights between them
// -> path PATH               the same, to look at in Browser
// writes: reach
// :param [{model, neuron, layer, limit}] => {RETURN 'digits_cnn' AS model, null AS neuron, null AS layer, 5 AS limit}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position DESC
WITH m, collect(l) AS layers
MATCH (t:Neuron {id: coalesce($neuron, m.base + m.neurons - 1)}) WHERE t.id >= m.base AND t.id < m.base + m.neurons
CALL (t) {
  SET t.reach = 1.0e300
}
CALL (layers, t) {
  UNWIND layers AS l
  CALL (l, t) {
    MATCH (a:Neuron) WHERE a.id >= l.begin AND a.id < l.end AND a <> t
    MATCH (a)-[w:WEIGHT]->(b:Neuron) WHERE b.reach IS NOT NULL
    WITH a, max(CASE WHEN abs(w.weight) < b.reach THEN abs(w.weight) ELSE b.reach END) AS reach
    SET a.reach = reach
  }
  RETURN count(*) AS walked
}
CALL (m, t) {
  MATCH (a:Neuron)
  WHERE a.id >= m.base AND a.id < m.base + m.neurons AND a <> t AND a.reach IS NOT NULL AND CASE WHEN $layer IS NULL THEN a.op = 'input' ELSE a.layer = $layer END
  WITH a, t.id AS last ORDER BY a.reach DESC, a.id LIMIT $limit
  CALL (a, last) {
    // from the start on, where every step leads on: the sum keeps the planner from beginning at the end
    MATCH path = (a)((x)-[w:WEIGHT]->(y) WHERE y.reach IS NOT NULL AND CASE WHEN abs(w.weight) < y.reach THEN abs(w.weight) ELSE y.reach END = x.reach)+(z:Neuron)
    WHERE z.id + 0 = last
    RETURN path LIMIT 1
  }
  RETURN collect({reach: a.reach, neurons: [n IN nodes(path) | n.id], weights: [w IN relationships(path) | w.weight], path: path}) AS found
}
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  SET n.reach = null
}
UNWIND found AS one
RETURN one.reach AS width, one.neurons AS neurons, one.weights AS weights, one.path AS path
ORDER BY width DESC, neurons[0]
