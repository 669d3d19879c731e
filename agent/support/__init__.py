"""Help that finds the cause itself: check-ups of this device, each of which names what to do."""
