// All is there: the model is complete and its ledger goes.
// $model STRING, $loaded DATETIME

MATCH (m:Model {name: $model})
SET m.state = 'COMPLETE', m.loadedAt = datetime()
WITH m
MATCH (m)-[:LEDGER]->(l:Ledger)
DETACH DELETE l
