// A model by its name; base is null where this program did not make it.
// $name STRING   model name

MATCH (m:Model {name: $name})
RETURN m.name AS name, m.state AS state, m.base AS base, m.fingerprint AS fingerprint, m.selection AS selection
