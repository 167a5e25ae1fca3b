"""Sinks: where a graph goes. Each streams its batches, neurons first, then weights: see protocol.py."""
