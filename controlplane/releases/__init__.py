"""Signatures of others: taken in, judged, and built into bundles that devices scan with."""
