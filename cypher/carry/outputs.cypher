// What models return.

MATCH (m:Model)-[o:OUTPUT]->(n:Neuron)
RETURN elementId(m) AS model, n.id AS neuron, o.output AS output, o.position AS position, size(keys(o)) AS properties
