"""Loads the tables of every room, whoever else needs them."""

import importlib
import pkgutil

import controlplane


def load_every_table() -> None:
    """Have them all in `metadata`."""
    for room in pkgutil.iter_modules(controlplane.__path__, "controlplane."):
        if room.ispkg:
            names = {module.name for module in pkgutil.iter_modules(importlib.import_module(room.name).__path__)}
            if "tables" in names:
                importlib.import_module(f"{room.name}.tables")
