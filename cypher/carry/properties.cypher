// Properties that a load doesn't write, and their types: of some neurons.
// $begin INTEGER, $end INTEGER   ids
// $own LIST OF STRING            what a load writes

MATCH (n:Neuron) WHERE n.id >= $begin AND n.id < $end
UNWIND [k IN keys(n) WHERE NOT k IN $own] AS property
RETURN DISTINCT property, valueType(n[property]) AS type
