"""The local Neo4j: fetched, started, stopped."""
