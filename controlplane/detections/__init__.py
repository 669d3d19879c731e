"""Incidents that devices report."""
