"""The scanner: rule packs, engines, weak worker processes, containers."""
