// What the graph of a model was made of.
// $name STRING   model name

MATCH (m:Model {name: $name})
RETURN m.format AS format, m.selection AS selection
