"""Which device calls: its key, the evidence of its machine, and machines that come back or were copied."""
