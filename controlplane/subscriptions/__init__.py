"""What an organisation pays for: the billing, renewal and derived access axes."""
