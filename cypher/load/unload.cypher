// A model that is being deleted: it is complete no more, and no load can go on with it.
// $model STRING   model name

MATCH (m:Model {name: $model})
SET m.state = 'LOADING'
WITH m
MATCH (m)-[:LEDGER]->(l:Ledger)
DETACH DELETE l
