"""Devices that speak the real protocol without being machines: thousands in one process, with a seed and faults."""
