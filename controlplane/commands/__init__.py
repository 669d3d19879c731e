"""Commands to devices, with durable state."""
