"""Tests of the diagnostics capability."""
