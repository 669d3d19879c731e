"""What a server shows of itself while it works: logs, numbers, traces. Never what was in a call."""
