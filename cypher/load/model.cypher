// A model that is being loaded, with its ledger: one entry a lane, which counts the batches that are in the store.
// $model MAP      properties of the Model node
// $ledger LIST    properties of the ledger's entries
// $claim STRING   the claim under which its ids were chosen: no longer needed

MATCH (claim:Model {name: $claim})
DELETE claim
CREATE (m:Model)
SET m = $model
WITH m
UNWIND $ledger AS entry
CREATE (m)-[:LEDGER]->(l:Ledger)
SET l = entry
