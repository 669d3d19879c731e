"""Processes: what they are called, what they cost, what is in their memory, how they go last and how they are ended."""
