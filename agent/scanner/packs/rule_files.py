"""Which files rules are read from; apart from what reads them, which a scan may not need."""

from pathlib import Path

RULE_SUFFIXES = (".yar", ".yara")
#: Of a folder, beside the rules.
MANIFEST = "manifest.toml"


def builtin_signatures() -> Path:
    """Folder of the rules that come with this program."""
    installed = Path(__file__).parent / "builtin_signatures"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "signatures"
