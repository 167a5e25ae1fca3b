// How many ways lead from the inputs to the outputs
// The number of paths along weights from any input neuron to any output neuron.
// $model STRING       model name
// -> paths NUMBER     paths; an integer where it is exact (below 2^53), else a rounded float
// writes: paths
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position
WITH m, collect(l) AS layers
CALL (layers) {
  UNWIND layers AS l
  CALL (l) {
    MATCH (b:Neuron) WHERE b.id >= l.begin AND b.id < l.end
    OPTIONAL MATCH (b)<-[:WEIGHT]-(a:Neuron)
    WITH b, sum(a.paths) AS paths
    SET b.paths = CASE WHEN b.op = 'input' THEN 1.0 ELSE paths END
  }
  RETURN count(*) AS walked
}
CALL (m) {
  MATCH (m)-[:OUTPUT]->(n:Neuron)
  WITH DISTINCT n
  RETURN sum(n.paths) AS total
}
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  SET n.paths = null
}
RETURN CASE WHEN total < 9007199254740992 THEN toInteger(total) ELSE total END AS paths
