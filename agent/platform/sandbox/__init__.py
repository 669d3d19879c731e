"""Making a process weak: what is taken from it, and how each operating system does that."""
