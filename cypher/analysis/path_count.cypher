// How many ways lead from the inputs to the outputs
// The number of paths along weights from any input neuron to any output neuron.
// $model STRING       model name
// -> paths NUMBER     paths; an integer where it is exact (below 2^53), else a rounded float
// about: Paths
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position
WITH m, collect(l) AS layers
// the ways into each neuron so far, in lists of 4096: only the last of them grows with a layer
WITH m, reduce(paths = [[]], l IN layers | COLLECT {
  WITH [p IN paths[-1] + COLLECT {
    MATCH (b:Neuron) WHERE b.id >= l.begin AND b.id < l.end
    // added up by hand: Neo4j 5 takes no sum() in here
    RETURN reduce(ways = CASE b.op WHEN 'input' THEN 1.0 ELSE 0.0 END, before IN COLLECT {
      MATCH (b)<-[:WEIGHT]-(a:Neuron)
      RETURN paths[(a.id - m.base) / 4096][(a.id - m.base) % 4096]
    } | ways + before) ORDER BY b.id
  } | p] AS own
  UNWIND paths[..-1] + [i IN range(0, size(own) / 4096) | [p IN own[i * 4096..(i + 1) * 4096] | p]] AS part
  RETURN part
}) AS paths
// picked here, and not row by row: a row is as large as the lists that it carries along
WITH reduce(total = 0.0, place IN COLLECT { MATCH (m)-[:OUTPUT]->(n:Neuron) RETURN DISTINCT n.id - m.base } |
  total + paths[place / 4096][place % 4096]) AS total
RETURN CASE WHEN total < 9007199254740992 THEN toInteger(total) ELSE total END AS paths
