"""Real-time protection: event sources, the pure pipeline, the runner that executes its commands."""
