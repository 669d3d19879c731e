"""What crosses the wire, and nothing else: generated stubs and the signed-claims codec.

A leaf: imports nothing of ours. Device and control plane share this package and no other.
"""
