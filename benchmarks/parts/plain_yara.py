"""The least one can do with an engine like yara-python: walk, hand paths to N processes, match each file by its name.

`python -m benchmarks.parts.plain_yara MODULE PROCESSES RULES_FOLDER TREE...` prints a JSON line
`[namespace, rule, path]` for each match. No isolation, no containers, no deadline, no hash: what is left is the engine.
"""

import importlib
import json
import multiprocessing
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.platform.accounts import account_name
from agent.scanner.engines.port import EXTERNAL_VARIABLES
from agent.scanner.packs.rule_variables import variables_for

_CHUNK = 64
#: Bytes that tell the type of a file.
_HEAD = 16
_NO_VALUES = dict.fromkeys(EXTERNAL_VARIABLES, "")


class _Matcher:
    """Rules compiled once, before the fork, so that the processes share their pages."""

    rules: Any = None
    error: type[Exception] = Exception


def _files(trees: list[str]) -> Iterator[str]:
    for tree in trees:
        for folder, _folders, names in os.walk(tree):
            for name in names:
                path = f"{folder}/{name}"
                if stat.S_ISREG(os.lstat(path).st_mode):
                    yield path


def _match(path: str) -> tuple[list[tuple[str, str, str]], str]:
    try:
        with Path(path).open("rb", buffering=0) as file:
            owner = account_name(os.fstat(file.fileno()).st_uid)
            variables = variables_for(path, (path.rpartition("/")[2],), file.read(_HEAD), owner)
        found = _Matcher.rules.match(path, externals=variables, fast=True)
    except (_Matcher.error, OSError) as error:
        return [], f"{path}: {error}"
    return [(match.namespace, match.rule, path) for match in found], ""


def main(arguments: list[str]) -> int:
    """Compile, fork, match; 1 when a file could not be matched."""
    module, processes, folder, trees = arguments[0], int(arguments[1]), Path(arguments[2]), arguments[3:]
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yar"))}
    engine = importlib.import_module(module)
    _Matcher.error = engine.Error
    _Matcher.rules = engine.compile(sources=texts, externals=_NO_VALUES, includes=False)
    failed = 0
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for matches, problem in pool.imap_unordered(_match, _files(trees), _CHUNK):
            for match in matches:
                print(json.dumps(match))
            if problem:
                failed = 1
                sys.stderr.write(problem + "\n")
        # Ended and waited for, so that their CPU time is counted.
        pool.close()
        pool.join()
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
