"""Packs of rules: which files they are read from, what of them can be used, and what is known of them without reading.

Packs stand on `agent.scanner.engines`, which compile them; engines stand on `agent.scanner.routing`, which splits them.
"""
