"""Rules: layer kind -> who meets whom.

A rule, and whatever rules share, raises Unsupported for what has no graph, and ValueError for operands that don't fit each other.
"""
