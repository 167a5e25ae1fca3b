// The longest way from an input to an output
// How many weights a value passes at most between the model's inputs and its outputs.
// $model STRING       model name
// -> hops INTEGER     weights on the way
// about: Paths
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position
WITH m, collect(l) AS layers
// the weights on the longest way into each neuron so far, in lists of 4096: only the last of them grows with a layer
WITH m, reduce(most = [[]], l IN layers | COLLECT {
  WITH [h IN most[-1] + COLLECT {
    MATCH (b:Neuron) WHERE b.id >= l.begin AND b.id < l.end
    // compared by hand: Neo4j 5 takes no max() in here
    RETURN reduce(hops = CASE b.op WHEN 'input' THEN 0 END, before IN COLLECT {
      MATCH (b)<-[:WEIGHT]-(a:Neuron)
      RETURN most[(a.id - m.base) / 4096][(a.id - m.base) % 4096]
    } | CASE WHEN before < hops THEN hops ELSE coalesce(before + 1, hops) END) ORDER BY b.id
  } | h] AS own
  UNWIND most[..-1] + [i IN range(0, size(own) / 4096) | [h IN own[i * 4096..(i + 1) * 4096] | h]] AS part
  RETURN part
}) AS most
MATCH (m)-[:OUTPUT]->(n:Neuron)
RETURN max(most[(n.id - m.base) / 4096][(n.id - m.base) % 4096]) AS hops
