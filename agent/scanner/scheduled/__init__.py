"""Scans that nobody asks for: when they are due, what keeps them from running, and how they go on after a stop."""
