"""Sinks: where a graph goes. Each takes a graph and streams its batches: neurons first, then weights."""
