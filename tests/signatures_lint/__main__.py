"""`python -m tests.signatures_lint [FOLDER]`: 1 if a check has something to say."""

import sys
from pathlib import Path

from agent.scanner.packs.rule_files import builtin_signatures
from tests.signatures_lint.checks import complaints
from tests.signatures_lint.pack import Pack


def main() -> int:
    """Check a folder of rules, the built-in ones if none is named."""
    pack = Pack.read(Path(sys.argv[1]) if len(sys.argv) > 1 else builtin_signatures())
    said = complaints(pack)
    sys.stdout.write("".join(f"{text}\n" for text in said) + f"{len(pack.rules)} rules, {len(said)} complaints\n")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
