"""Real processes, real files, real TLS: what a person does, done by a program."""
