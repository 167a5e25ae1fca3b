// What an output neuron listens to: its strongest weights
MATCH (:Model)-[:OUTPUT]->(target:Neuron) WITH target LIMIT 1
MATCH (source:Neuron)-[weight:WEIGHT]->(target)
RETURN source, weight, target ORDER BY abs(weight.weight) DESC LIMIT 25
