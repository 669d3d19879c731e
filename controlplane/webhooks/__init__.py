"""Telling the systems of an organisation what happens, over HTTPS."""
