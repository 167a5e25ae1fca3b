"""Keras files as networks."""
