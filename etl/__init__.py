"""neuron-etl: a trained neural network as a graph of single neurons in Neo4j."""

__version__ = "0.1.0"
