// What a store holds in all, and how much of it is ours: where the two agree, everything can be read back.

CALL () { MATCH (n) RETURN count(n) AS nodes }
CALL () { MATCH (n:Neuron) RETURN count(n) AS neurons }
CALL () { MATCH ()-[r]->() RETURN count(r) AS relationships }
CALL () { MATCH ()-[w:WEIGHT]->() RETURN count(w) AS weights }
RETURN nodes, neurons, relationships, weights
