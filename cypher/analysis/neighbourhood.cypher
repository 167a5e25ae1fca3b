// A neuron and what is around it, to look at in Browser
// One neuron with its strongest weights: half of them coming in, half going out. Without an id, the model's last neuron.
// $model STRING            model name
// $neuron NEURON = null    its address, such as digit/4, or id
// $limit INTEGER = 30      weights to show
// -> source NODE           neuron that is read
// -> weight RELATIONSHIP   weight
// -> target NODE           neuron that reads it
// about: Neurons
// :param [{model, neuron, limit}] => {RETURN 'digits_cnn' AS model, null AS neuron, 30 AS limit}

MATCH (m:Model {name: $model})
MATCH (n:Neuron {id: coalesce($neuron, m.base + m.neurons - 1)}) WHERE n.id >= m.base AND n.id < m.base + m.neurons
CALL (n) {
  MATCH (n)<-[w:WEIGHT]-(:Neuron)
  RETURN w ORDER BY abs(w.weight) DESC LIMIT ($limit + 1) / 2
  UNION ALL
  MATCH (n)-[w:WEIGHT]->(:Neuron)
  RETURN w ORDER BY abs(w.weight) DESC LIMIT $limit / 2
}
RETURN startNode(w) AS source, w AS weight, endNode(w) AS target
