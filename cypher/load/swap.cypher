// The new model gets the name, the old one becomes a remainder to be deleted.
// $new STRING    under which the new one was loaded
// $name STRING   the name that it gets
// -> old STRING (name of the remainder)

MATCH (new:Model {name: $new, temporary: $name})
MATCH (old:Model {name: $name})
SET old.name = $name + '~' + old.base, old.temporary = $name, old.state = 'LOADING'
SET new.name = $name, new.temporary = null, new.state = 'COMPLETE', new.loadedAt = datetime()
WITH new, old
OPTIONAL MATCH (new)-[:LEDGER]->(l:Ledger)
DETACH DELETE l
RETURN DISTINCT old.name AS old
