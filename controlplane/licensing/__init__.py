"""Activation keys, seats and the issuing of entitlements."""
