"""Enrolled devices: check-ins and protection status."""
