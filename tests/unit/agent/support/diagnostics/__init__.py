"""Tests of the support room's bundles."""
