import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.scanner.packs.credits import Credit
from agent.scanner.packs.pack_notes import PackNote, listing_of
from tests.fakes.clock import FakeClock

LATE = FakeClock(datetime(2090, 1, 1, tzinfo=UTC))


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.yar").write_text("rule a { condition: true }")
    (folder / "inner" / "b.yar").write_text("rule b { condition: true }")
    return folder


def added(rules: Path) -> None:
    (rules / "c.yar").write_text("")


def removed(rules: Path) -> None:
    (rules / "a.yar").unlink()


def renamed(rules: Path) -> None:
    (rules / "inner" / "b.yar").rename(rules / "inner" / "d.yar")


def changed_and_back_dated(rules: Path) -> None:
    file = rules / "a.yar"
    before = file.stat()
    file.write_text("rule z { condition: true }")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [added, removed, renamed, changed_and_back_dated])
def test_a_listing_stands_for_names_and_versions(rules: Path, change: Callable[[Path], None]) -> None:
    before = listing_of([rules], (), LATE)
    assert before is not None
    assert listing_of([rules], (), LATE) == before
    change(rules)
    after = listing_of([rules], (), LATE)
    assert after not in {None, before}


def test_the_order_of_packs_is_part_of_it(rules: Path) -> None:
    one, two = rules / "a.yar", rules / "inner"
    assert listing_of([one, two], (), LATE) != listing_of([two, one], (), LATE)


def test_what_changed_just_now_or_proves_nothing_has_no_listing(rules: Path) -> None:
    changed = datetime.fromtimestamp((rules / "a.yar").stat().st_ctime, tz=UTC)
    assert listing_of([rules], (), FakeClock(changed + timedelta(seconds=1))) is None
    assert listing_of([rules], (), FakeClock(changed + timedelta(seconds=60))) is not None
    assert listing_of([rules], {rules.stat().st_dev}, LATE) is None
    assert listing_of([rules / "gone"], (), LATE) is None


def test_a_link_among_the_rules_is_no_file_whose_version_could_be_told(rules: Path) -> None:
    (rules / "link.yar").symlink_to(rules / "a.yar")
    assert listing_of([rules], (), LATE) is None


def test_a_note_survives_being_written() -> None:
    note = PackNote("1-abc", (Credit("a/", "by A"),), "ff" * 32, "[]")
    assert PackNote.from_json(note.to_json()) == note


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"credits": [{}]}', b'{"credits": [], "version": "1"}', b"\xff"])
def test_what_is_no_note_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        PackNote.from_json(text)
