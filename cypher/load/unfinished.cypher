// What interrupted loads, replacements and deletions of a model have left, with the state of their ledgers.
// $name STRING   model name

MATCH (m:Model)
WHERE m.state = 'LOADING' AND $name IN [m.name, m.temporary]
OPTIONAL MATCH (m)-[:LEDGER]->(l:Ledger)
WITH m, l ORDER BY l.lane
RETURN m.name AS name, m.base AS base, m.fingerprint AS fingerprint, m.temporary AS temporary, head(collect(l.plan)) AS plan, collect(l.done) AS done
