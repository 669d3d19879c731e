"""The bundle as a file."""

import json
import stat
import zipfile
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.support.diagnostics.bundle import Bundle, write_bundle
from agent.support.diagnostics.collecting import Item, ItemStatus
from agent.support.redaction import RedactionPolicy
from tests.fakes.clock import SOME_MONDAY

BUNDLE = Bundle(
    SOME_MONDAY,
    "1.2.3",
    RedactionPolicy(below_homes=True),
    (
        Item("a.json", "ask", ItemStatus.COLLECTED, "", "{}", {"user": 2, "secret": 1}, 3.5),
        Item("b.txt", "read", ItemStatus.FAILED, "X: gone", "", {"user": 1}),
        Item("c.txt", "read", ItemStatus.UNAVAILABLE, "none"),
    ),
)


def test_a_partial_bundle_is_a_bundle_and_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    assert write_bundle(BUNDLE, path) == path.stat().st_size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["manifest.json", "a.json"]
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["redaction"] == {
        "users": True, "homes": True, "below_homes": True, "taken": {"secret": 1, "user": 3},
    }  # fmt: skip
    assert [(item["name"], item["status"], item["error"]) for item in manifest["items"]] == [
        ("a.json", "collected", None),
        ("b.txt", "failed", "X: gone"),
        ("c.txt", "unavailable", "none"),
    ]
    assert [item.name for item in BUNDLE.failed] == ["b.txt"]


def test_nothing_is_overwritten_and_no_link_followed(tmp_path: Path) -> None:
    there, link = tmp_path / "there", tmp_path / "link"
    there.write_text("mine")
    link.symlink_to(tmp_path / "elsewhere")
    for path, code in (
        (there, "DIAGNOSTICS_EXISTS"),
        (link, "DIAGNOSTICS_EXISTS"),
        (tmp_path / "no/x", "DIAGNOSTICS_NOT_WRITTEN"),
    ):
        with pytest.raises(BucklerError) as refusal:
            write_bundle(BUNDLE, path)
        assert refusal.value.code == code
    assert there.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()
