"""Who belongs to an organisation, how they sign in, and what was done."""
