"""Check-ins: answered from memory where they bring no news, else from the rows, whose times are written together."""
