"""Durable jobs: the queue that keeps them, claims on them, the runner that does them, and the board that people see."""
