"""Definitions of the background service, as they come with this program: one file for each supervisor, in `deploy/`."""

from pathlib import Path

_HERE = Path(__file__).parent


def shipped(folder: str, name: str) -> str:
    """Text of a definition.

    Args:
        folder: `systemd`, `launchd` or `windows`.
        name: Its file.
    """
    installed = _HERE / "service_definitions" / folder / name
    checked_out = _HERE.parents[2] / "deploy" / folder / name
    return (installed if installed.is_file() else checked_out).read_text(encoding="utf-8")
