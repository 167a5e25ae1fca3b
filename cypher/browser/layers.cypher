// The layers in the store, and which feeds which
MATCH (l:Layer) RETURN l LIMIT 100
