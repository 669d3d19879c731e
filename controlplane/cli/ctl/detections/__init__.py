"""What was found, and what becomes of it."""
