"""The graph of neurons: traced from a network, counted, cut into batches."""
