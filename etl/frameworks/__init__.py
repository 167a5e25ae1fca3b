"""Where a framework runs a model; imported late."""
