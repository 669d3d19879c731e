"""Where the rules are that come with this program; apart from what reads rules, which a scan may not need."""

from pathlib import Path


def builtin_signatures() -> Path:
    """Folder of the rules that come with this program."""
    installed = Path(__file__).parent / "builtin_signatures"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "signatures"
