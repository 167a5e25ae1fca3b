// Models, their layers and the ledgers of loads that are not complete, with all their properties.

MATCH (n:Model|Layer|Ledger)
RETURN elementId(n) AS node, labels(n) AS labels, properties(n) AS properties
ORDER BY n.base, n.begin, n.position, n.lane
