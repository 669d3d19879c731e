import hashlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.domain.facts import ScanFacts
from agent.platform.files.regular_files import identity_of
from agent.platform.mountinfo import Mount
from agent.scanner.cache import FlushReason, ScanCache, open_scan_cache
from agent.scanner.cache_key import ScanIdentity
from agent.scanner.limits import Limits
from tests.fakes.clock import FakeClock

SCAN = ScanIdentity("1", "pack", "yara", "4", Limits())
#: Files of a test have rested for a long time by this clock.
LATE = FakeClock(datetime(2090, 1, 1, tzinfo=UTC))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o711)
    return folder / "scan-cache.db"


@contextmanager
def opened(
    place: Path, scan: ScanIdentity = SCAN, clock: FakeClock = LATE, max_answers: int = 1000, mount: Mount | None = None
) -> Iterator[ScanCache]:
    mounts = () if mount is None else (mount,)
    cache = open_scan_cache(place, scan, clock, max_answers=max_answers, mounts=lambda: mounts)
    assert cache is not None
    try:
        yield cache
    finally:
        cache.close()


def remember(cache: ScanCache, path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    content = path.read_bytes()
    facts = ScanFacts(hashlib.sha256(content).hexdigest(), len(content))
    cache.remember(str(path), descriptor, identity_of(os.fstat(descriptor)), facts, cache.moment())
    os.close(descriptor)


def knows(cache: ScanCache, path: Path) -> bool:
    return digest_of(cache, path) is not None


def digest_of(cache: ScanCache, path: Path) -> bytes | None:
    folder = cache.folder(str(path.parent))
    return None if folder is None else folder.recall(path.name, path.lstat())


def walk(cache: ScanCache, folder: Path) -> list[str]:
    """Names of the files that are not known; the others have been met."""
    known = cache.folder(str(folder))
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    if known is None:
        return [path.name for path in paths]
    unknown = [path.name for path in paths if known.recall(path.name, path.lstat()) is None]
    known.all_asked()
    return unknown


def names_kept(place: Path) -> list[list[str]]:
    connection = sqlite3.connect(place)
    rows = connection.execute("SELECT names FROM folder").fetchall()
    connection.close()
    return sorted(sorted(os.fsdecode(names).split("/")) for (names,) in rows)


def some_file(folder: Path, name: str = "file") -> Path:
    path = folder / name
    path.write_text(name)
    return path


def test_an_answer_survives_a_restart_with_its_digest(tmp_path: Path, place: Path) -> None:
    path = some_file(tmp_path)
    with opened(place) as cache:
        remember(cache, path)
    with opened(place) as cache:
        digest = digest_of(cache, path)
    assert digest is not None
    assert digest == hashlib.sha256(b"file").digest()
    assert cache.facts(4, digest) == ScanFacts(digest.hex(), 4, engine="yara 4", signatures_version="pack")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_other_rules_know_nothing_and_take_nothing_away(tmp_path: Path, place: Path) -> None:
    path = some_file(tmp_path)
    with opened(place) as cache:
        remember(cache, path)
    with opened(place, replace(SCAN, pack="other")) as cache:
        assert not knows(cache, path)
    with opened(place) as cache:
        assert knows(cache, path)


def test_a_change_of_mode_alone_makes_a_file_unknown(tmp_path: Path, place: Path) -> None:
    path = some_file(tmp_path)
    with opened(place) as cache:
        remember(cache, path)
    path.chmod(0o700)
    with opened(place) as cache:
        assert not knows(cache, path)


def test_a_file_changed_just_now_is_not_remembered(tmp_path: Path, place: Path) -> None:
    path = some_file(tmp_path)
    changed = datetime.fromtimestamp(path.stat().st_ctime, tz=UTC)
    with opened(place, clock=FakeClock(changed + timedelta(seconds=1))) as cache:
        remember(cache, path)
    with opened(place) as cache:
        assert not knows(cache, path)


def test_a_copy_and_a_hard_link_are_scanned(tmp_path: Path, place: Path) -> None:
    path = some_file(tmp_path)
    with opened(place) as cache:
        (tmp_path / "link").hardlink_to(path)
        remember(cache, path)
    copy = some_file(tmp_path, "copy")
    os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    with opened(place) as cache:
        assert walk(cache, tmp_path) == ["copy", "link"]


def test_names_are_kept_whatever_is_in_them(tmp_path: Path, place: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with opened(place) as cache:
        for name in ("a", "a b", "\udcff", "\n", "\u00e4"):
            (folder / name).touch()
            remember(cache, folder / name)
    with opened(place) as cache:
        assert walk(cache, folder) == []


def test_a_folder_that_was_moved_is_scanned_because_rules_may_ask_for_its_name(tmp_path: Path, place: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with opened(place) as cache:
        remember(cache, some_file(folder))
    moved = folder.rename(tmp_path / "moved")
    with opened(place) as cache:
        assert walk(cache, moved) == ["file"]
        moved.rename(folder)
        assert walk(cache, folder) == []


def test_what_is_gone_is_forgotten_once_the_folder_has_been_walked(tmp_path: Path, place: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    kept, changed, gone = (some_file(folder, name) for name in ("kept", "changed", "gone"))
    with opened(place) as cache:
        for path in (kept, changed, gone):
            remember(cache, path)
    changed.write_text("longer than it was")
    gone.unlink()
    with opened(place) as cache:
        assert knows(cache, kept)
    assert names_kept(place) == [["changed", "gone", "kept"]]
    with opened(place) as cache:
        assert walk(cache, folder) == ["changed"]
        remember(cache, changed)
    assert names_kept(place) == [["changed", "kept"]]
    with opened(place) as cache:
        assert walk(cache, folder) == []
    for path in (kept, changed):
        path.unlink()
    with opened(place) as cache:
        assert walk(cache, folder) == []
    assert names_kept(place) == []


def test_nothing_is_remembered_where_change_times_prove_nothing(tmp_path: Path, place: Path) -> None:
    path = some_file(tmp_path)
    device = path.stat().st_dev
    stick = Mount(1, f"{os.major(device)}:{os.minor(device)}", "/stick", "vfat")
    with opened(place, mount=stick) as cache:
        remember(cache, path)
    with opened(place) as cache:
        assert not knows(cache, path)
        remember(cache, path)
    with opened(place, mount=stick) as cache:
        assert not knows(cache, path)


def test_the_bound_holds_and_what_went_unused_longest_goes(tmp_path: Path, place: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    old, new = some_file(tmp_path / "a", "old"), [some_file(tmp_path / "b", f"new{i}") for i in range(3)]
    with opened(place, max_answers=3) as cache:
        remember(cache, old)
    with opened(place, max_answers=3) as cache:
        for path in new:
            remember(cache, path)
        cache.close()
        assert cache.flushed == (FlushReason.FULL,)
    with opened(place, max_answers=3) as cache:
        assert not knows(cache, old)
        assert all(knows(cache, path) for path in new)


def test_what_still_answers_is_marked_as_used(tmp_path: Path, place: Path) -> None:
    path = some_file(tmp_path)
    with opened(place) as cache:
        remember(cache, path)
    for _ in range(40):
        with opened(place) as cache:
            assert knows(cache, path)
    with sqlite3.connect(place) as connection:
        assert connection.execute("SELECT generation FROM folder").fetchone()[0] > 20
    connection.close()


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_made_anew(tmp_path: Path, place: Path, content: bytes) -> None:
    place.write_bytes(content)
    place.chmod(0o600)
    with opened(place) as cache:
        assert cache.flushed == (FlushReason.DAMAGED,)
        remember(cache, some_file(tmp_path))
    with opened(place) as cache:
        assert cache.flushed == ()
        assert knows(cache, tmp_path / "file")


def test_a_file_of_another_form_is_made_anew(place: Path) -> None:
    connection = sqlite3.connect(place)
    connection.execute("CREATE TABLE x (y)")
    connection.close()
    place.chmod(0o600)
    with opened(place) as cache:
        assert cache.flushed == (FlushReason.OTHER_FORMAT,)


@pytest.mark.parametrize("damage", ["answers = 'text'", "answers = x'00'", "names = 7", "names = x'612f62'"])
def test_damage_met_later_ends_in_a_new_file(tmp_path: Path, place: Path, damage: str) -> None:
    path = some_file(tmp_path)
    with opened(place) as cache:
        remember(cache, path)
    connection = sqlite3.connect(place)
    connection.execute(f"UPDATE folder SET {damage}")
    connection.commit()
    connection.close()
    with opened(place) as cache:
        assert not knows(cache, path)
        assert cache.flushed == (FlushReason.DAMAGED,)
        remember(cache, path)
    with opened(place) as cache:
        assert not knows(cache, path)


def test_a_second_process_goes_without(place: Path) -> None:
    with opened(place):
        assert open_scan_cache(place, SCAN, LATE) is None


def test_a_place_that_others_may_write_to_is_not_believed(place: Path) -> None:
    with opened(place):
        pass
    place.chmod(0o622)
    assert open_scan_cache(place, SCAN, LATE) is None
    place.chmod(0o600)
    place.parent.chmod(0o777)
    assert open_scan_cache(place, SCAN, LATE) is None


def test_a_link_in_its_place_is_not_followed(tmp_path: Path, place: Path) -> None:
    place.symlink_to(tmp_path / "elsewhere")
    assert open_scan_cache(place, SCAN, LATE) is None
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def folders(tmp_path: Path, place: Path) -> list[Path]:
    """With a file in each, all of them remembered; more than are looked up one by one."""
    made = [tmp_path / f"folder-{number:03}" for number in range(60)]
    with opened(place) as cache:
        for folder in made:
            folder.mkdir()
            remember(cache, some_file(folder, folder.name))
    return made


def test_a_tree_that_was_scanned_before_is_known_as_well_when_its_folders_are_read_at_once(
    folders: list[Path], place: Path
) -> None:
    (folders[55] / "folder-055").write_text("longer than it was")
    # Renaming changes the change time.
    (folders[56] / "folder-056").rename(folders[57] / "folder-056")
    with opened(place) as cache:
        assert [name for folder in folders for name in walk(cache, folder)] == ["folder-055", "folder-056"]
        assert digest_of(cache, folders[59] / "folder-059") == hashlib.sha256(b"folder-059").digest()


def test_folders_that_are_read_at_once_are_marked_as_used_if_they_are_met(folders: list[Path], place: Path) -> None:
    for _ in range(20):
        with opened(place):
            pass
    with opened(place) as cache:
        assert not any(walk(cache, folder) for folder in folders[:50])
    connection = sqlite3.connect(place)
    marks = connection.execute("SELECT count(*) FROM folder WHERE generation > 20").fetchone()[0]
    connection.close()
    assert marks == 50
    with opened(place) as cache:
        assert not any(walk(cache, folder) for folder in folders)


def test_damage_among_folders_that_are_read_at_once_is_met(folders: list[Path], place: Path) -> None:
    connection = sqlite3.connect(place)
    connection.execute("UPDATE folder SET answers = x'00' WHERE place = (SELECT max(place) FROM folder)")
    connection.commit()
    connection.close()
    with opened(place) as cache:
        for folder in folders:
            walk(cache, folder)
        assert cache.flushed == (FlushReason.DAMAGED,)


def test_times_that_no_row_can_hold_are_not_remembered(tmp_path: Path, place: Path) -> None:
    path = some_file(tmp_path)
    before = identity_of(path.stat())
    far = replace(before, mtime_ns=1 << 63)
    with opened(place) as cache:
        descriptor = os.open(path, os.O_RDONLY)
        cache.remember(str(path), descriptor, far, ScanFacts("ab" * 32, before.size_bytes), cache.moment())
        os.close(descriptor)
        status = os.stat_result((*path.stat()[:10],), {"st_mtime_ns": 1 << 63, "st_ctime_ns": before.ctime_ns})
        remember(cache, path)
    with opened(place) as cache:
        folder = cache.folder(str(path.parent))
        assert folder is not None
        assert folder.recall(path.name, status) is None
        assert knows(cache, path)
