// What an output neuron listens to: its strongest weights. Lines between the others are other weights: "Connect result nodes" in the settings hides them
MATCH (source:Neuron)-[weight:WEIGHT]->(target:Neuron {id: $target})
RETURN source, weight, target ORDER BY abs(weight.weight) DESC LIMIT 25
