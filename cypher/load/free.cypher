// The first id that no model and no neuron has.
// -> base INTEGER

OPTIONAL MATCH (m:Model)
WITH coalesce(max(m.base + CASE WHEN m.neurons > 0 THEN m.neurons ELSE 1 END), 0) AS models
OPTIONAL MATCH (n:Neuron) WHERE n.id >= 0
WITH models, n.id AS id ORDER BY id DESC LIMIT 1
RETURN CASE WHEN id >= models THEN id + 1 ELSE models END AS base
