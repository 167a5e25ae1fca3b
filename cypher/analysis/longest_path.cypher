// The longest way from an input to an output
// How many weights a value passes at most between the model's inputs and its outputs.
// $model STRING       model name
// -> hops INTEGER     weights on the way
// writes: hops
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position
WITH m, collect(l) AS layers
CALL (layers) {
  UNWIND layers AS l
  CALL (l) {
    MATCH (b:Neuron) WHERE b.id >= l.begin AND b.id < l.end
    OPTIONAL MATCH (b)<-[:WEIGHT]-(a:Neuron)
    WITH b, max(a.hops) + 1 AS hops
    SET b.hops = CASE WHEN b.op = 'input' THEN 0 ELSE hops END
  }
  RETURN count(*) AS walked
}
CALL (m) {
  MATCH (m)-[:OUTPUT]->(n:Neuron)
  RETURN max(n.hops) AS hops
}
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  SET n.hops = null
}
RETURN hops
