"""Bundles of evidence for support."""
