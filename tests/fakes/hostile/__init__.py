"""Malformed inputs, one file per kind of malice; `corpus` puts them together."""
