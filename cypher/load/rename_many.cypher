// Give the neurons of a model that is loaded under a temporary name the name that it will have.
// $new STRING, $name STRING

MATCH (m:Model {name: $new})
MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
CALL (n) { SET n.model = $name } IN TRANSACTIONS OF 50000 ROWS
