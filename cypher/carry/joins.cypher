// What joins them.

MATCH (a:Model|Layer)-[r:HAS_LAYER|FEEDS|LEDGER]->(b:Layer|Ledger)
RETURN type(r) AS kind, elementId(a) AS source, elementId(b) AS target, properties(r) AS properties
