"""Coverage-guided fuzzing of one target: `python -m tests.fuzz.campaign TARGET --seconds N [--corpus FOLDER]`.

Needs `atheris` (`pip install atheris`; not in the locked set: 35 MB that nothing else needs). What it finds is written
to the folder as `crash-…` and shown with its stack; inputs that reach new code are kept there for the next run.
"""

import argparse
import importlib
import importlib.util
import sys
import tempfile
from pathlib import Path

#: Seconds for one input: every parser has to look at the clock or be quick.
_LONGEST = 10
_MOST_MIB = 2048


def main(arguments: list[str]) -> int:
    """Fuzz; the exit status is libFuzzer's: 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.campaign", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    chosen = parser.parse_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed; run: pip install atheris", file=sys.stderr)  # noqa: T201 -- a command
        return 2
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["agent", "wire"]):
        targets = importlib.import_module("tests.fuzz.targets.registry").TARGETS
    if chosen.target not in targets:
        print(f"no such target; choose one of: {', '.join(sorted(targets))}", file=sys.stderr)  # noqa: T201
        return 2
    target = targets[chosen.target]
    corpus = chosen.corpus or Path(tempfile.mkdtemp(prefix=f"fuzz-{target.name}-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={chosen.seconds}", f"-timeout={_LONGEST}", f"-rss_limit_mb={_MOST_MIB}",
        f"-artifact_prefix={corpus}/", "-max_len=65536", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
