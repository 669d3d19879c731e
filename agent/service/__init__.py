"""The background service: putting it in place and taking it away, and what it tells its supervisor."""
