"""Bundles of evidence that devices make for support: reading them, and finding the likely cause in them."""
