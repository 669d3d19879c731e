"""This program, as it is installed."""

from importlib.metadata import version


def app_version() -> str:
    """Of the installed package."""
    return version("buckler")
