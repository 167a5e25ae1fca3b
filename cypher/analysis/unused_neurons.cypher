// Neurons that no output depends on
// No way along weights leads from them to an output: what they compute is thrown away.
// $model STRING              model name
// $limit INTEGER = 100000    rows
// -> id INTEGER              neuron
// -> layer STRING            its layer
// -> index LIST OF INTEGER   its place in it
// about: Neurons
// :param [{model, limit}] => {RETURN 'digits_cnn' AS model, 100000 AS limit}

MATCH (m:Model {name: $model})-[:HAS_LAYER]->(l:Layer) WHERE l.begin < l.end
WITH m, l ORDER BY l.position DESC
WITH m, m.base + m.neurons - 1 AS last, collect(l) AS layers
// whether an output depends on each neuron so far, from the last one on, in lists of 4096: only the last of them grows with a layer
WITH m, last, reduce(used = [[]], l IN layers | COLLECT {
  WITH [u IN used[-1] + COLLECT {
    MATCH (a:Neuron) WHERE a.id >= l.begin AND a.id < l.end
    RETURN EXISTS { (a)-[:WEIGHT]->(b:Neuron) WHERE used[(last - b.id) / 4096][(last - b.id) % 4096] } OR EXISTS { (a)<-[:OUTPUT]-(m) }
    ORDER BY a.id DESC
  } | u] AS own
  UNWIND used[..-1] + [i IN range(0, size(own) / 4096) | [u IN own[i * 4096..(i + 1) * 4096] | u]] AS part
  RETURN part
}) AS used
// picked here, and not row by row: a row is as large as the lists that it carries along
WITH [id IN range(m.base, last) WHERE NOT used[(last - id) / 4096][(last - id) % 4096]][..$limit] AS ids
UNWIND ids AS id
MATCH (n:Neuron {id: id})
RETURN id, n.layer AS layer, n.index AS index
ORDER BY id
