// Loads that have begun and not ended, and how much of each is stored. name: of the model that it will be, or whose place it will take (replaces).

MATCH (m:Model {state: 'LOADING'}) WHERE m.base IS NOT NULL
CALL (m) {
  MATCH (n:Neuron) WHERE n.id >= m.base AND n.id < m.base + m.neurons
  RETURN count(n) AS stored_neurons, sum(COUNT { (n)<-[:WEIGHT]-() }) AS stored_edges
}
RETURN coalesce(m.temporary, m.name) AS name, m.temporary IS NOT NULL AS replaces, stored_neurons, stored_edges, m.sha256 AS sha256, m.format AS format,
       m.selection AS selection, m.neurons AS neurons, m.edges AS edges, m.parameters AS parameters, m.etlVersion AS etlVersion
ORDER BY name
