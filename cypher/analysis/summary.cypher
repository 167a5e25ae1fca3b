// What a model is, in one row
// Its neurons and weights as counted in the store, its stored parameters, and which share of all possible edges it has.
// $model STRING           model name
// -> model STRING         model name
// -> neurons INTEGER      neurons
// -> edges INTEGER        weights: edges between neurons
// -> parameters INTEGER   numbers stored in the file, biases included
// -> density FLOAT        edges / (neurons * (neurons - 1))
// about: Overview
// :param [{model}] => {RETURN 'digits_cnn' AS model}

MATCH (m:Model {name: $model})
OPTIONAL MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
WITH m, count(n) AS neurons, sum(COUNT { (n)<-[:WEIGHT]-() }) AS edges
RETURN m.name AS model, neurons, edges, m.parameters AS parameters,
       CASE WHEN neurons > 1 THEN toFloat(edges) / neurons / (neurons - 1) ELSE 0.0 END AS density
