// The models of a store, those aside that wait to take another's place.

MATCH (m:Model) WHERE m.base IS NOT NULL AND m.temporary IS NULL
RETURN m.name AS name, m.state AS state, m.sha256 AS sha256, m.format AS format, m.selection AS selection, m.neurons AS neurons, m.edges AS edges,
       m.parameters AS parameters, m.loadedAt AS loadedAt, m.etlVersion AS etlVersion
ORDER BY name
