"""Into Neo4j: live over Bolt, or in bulk through its import tool."""
