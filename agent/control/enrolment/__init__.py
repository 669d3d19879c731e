"""Who this device is, how it gets its seat, and what that entitles it to."""
