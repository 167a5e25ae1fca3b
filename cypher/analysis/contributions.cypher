// What drove a neuron for one example
// Weight times value of each neuron that it reads, largest first. Values come from `etl features MODEL IMAGE --write NAME`.
// $model STRING              model name
// $neuron NEURON = null      its address, such as digit/4, or id; without one, the most active neuron of the last layer
// $limit INTEGER = 20        rows
// -> id INTEGER              neuron that is read
// -> layer STRING            its layer
// -> index LIST OF INTEGER   its place in it
// -> value FLOAT             its value
// -> weight FLOAT            weight
// -> contribution FLOAT      weight * value
// needs: value
// not with: --layers --granularity --min-weight --top-k --ignore-masks
// about: Neurons
// :param [{model, neuron, limit}] => {RETURN 'digits_cnn' AS model, null AS neuron, 20 AS limit}

MATCH (m:Model {name: $model})
CALL (m) {
  MATCH (n:Neuron {id: $neuron}) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  RETURN n
  UNION
  MATCH (m)-[:OUTPUT]->(n:Neuron) WHERE $neuron IS NULL AND n.value IS NOT NULL
  RETURN n ORDER BY n.value DESC, n.id LIMIT 1
}
MATCH (n)<-[w:WEIGHT]-(a:Neuron) WHERE a.value IS NOT NULL
RETURN a.id AS id, a.layer AS layer, a.index AS index, a.value AS value, w.weight AS weight, w.weight * a.value AS contribution
ORDER BY abs(contribution) DESC, id LIMIT $limit
