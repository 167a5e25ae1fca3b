// Enter a batch into the ledger, in the batch's own transaction. The first SET takes the entry's lock, so that what is read after it is the last
// word, even where a transaction of a killed loader is still ending.
// $model STRING   model name
// $lane INTEGER   whose batch
// $batch INTEGER  its number in that lane
// -> done INTEGER (batches in the store before this one)

MATCH (:Model {name: $model})-[:LEDGER]->(l:Ledger {lane: $lane})
SET l.asked = $batch
WITH l, l.done AS done
SET l.done = CASE WHEN done = $batch THEN done + 1 ELSE done END
RETURN done
