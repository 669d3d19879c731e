"""Unpacking, one file per family of formats. Runs in the weak worker only."""
