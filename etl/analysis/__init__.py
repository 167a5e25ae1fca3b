"""What is asked of a graph: proofs, measures, pictures, parts."""
