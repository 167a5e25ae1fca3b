// Give the neurons of a model that is loaded under a temporary name the name that it will have.
// $new STRING, $name STRING

MATCH (m:Model {name: $new})
MATCH (n:Neuron) WHERE m.base <= n.id AND n.id < m.base + m.neurons
CALL (n) { SET n.model = $name } IN TRANSACTIONS OF 50000 ROWS
