"""Values and decisions of the agent: standard library only, no I/O, no clock, no framework."""
