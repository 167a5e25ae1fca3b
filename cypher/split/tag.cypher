// Number the parts of a model on its layers; earlier numbers go.
// $model STRING   model name
// $parts MAP      layer name -> number of its part

MATCH (:Model {name: $model})-[:HAS_LAYER]->(l:Layer)
SET l.part = $parts[l.name]
