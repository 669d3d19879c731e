"""Signature engines behind one port."""
