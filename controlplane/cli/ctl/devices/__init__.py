"""Devices: which there are, how they do, and what they are asked for."""
