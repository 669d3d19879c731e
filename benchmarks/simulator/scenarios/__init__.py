"""The scenarios: each is an expected block and a short script."""
