"""The two public rule sets beside the repository, when they are there."""

import zipfile
from pathlib import Path

import pytest

from agent.scanner.routing.analysis import RuleText

NAMES = ("signature-base.zip", "reversinglabs.zip")


def corpus_folder() -> Path | None:
    """Return the nearest `shared/corpus` above this file."""
    folders = (parent / "shared" / "corpus" for parent in Path(__file__).resolve().parents)
    return next((folder for folder in folders if folder.is_dir()), None)


def public_rules() -> list[RuleText]:
    """Return every file of both rule sets in a namespace of its own, or skip the test."""
    folder = corpus_folder()
    if folder is None:
        pytest.skip("no shared/corpus folder above the repository")
    texts = []
    for name in NAMES:
        with zipfile.ZipFile(folder / name) as archive:
            texts += [
                RuleText(namespace=f"{name}/{member}", text=archive.read(member).decode(errors="replace"))
                for member in sorted(archive.namelist())
                if member.endswith((".yar", ".yara"))
            ]
    return texts
