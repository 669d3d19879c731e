import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.scanner.engines.compiled_cache import CachedEngine
from agent.scanner.engines.kept_files import KeptFiles
from agent.scanner.engines.registry import engine_label, engine_named, engine_that_remembers
from agent.scanner.packs.deferred_pack import DeferredPack, PackEngine, prepare_pack
from agent.scanner.packs.pack_notes import PackNote, PackNotes
from tests.fakes.clock import FakeClock

#: Files of a test have rested for a long time by this clock.
LATE = FakeClock(datetime(2090, 1, 1, tzinfo=UTC))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def engine(data_dir: Path) -> PackEngine:
    label = engine_label("yara")
    notes = PackNotes(KeptFiles(data_dir), str(label))
    return PackEngine(label, notes, lambda: engine_that_remembers("yara", data_dir))


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "some.yar"
    file.write_text('rule named { condition: filename == "x" }')
    return file


def lose_images(data_dir: Path) -> None:
    for kept in (data_dir / "compiled-rules").iterdir():
        if not kept.name.startswith("note-"):
            kept.unlink()


def test_a_pack_that_was_compiled_before_is_fetched_when_it_is_wanted(engine: PackEngine, rules: Path) -> None:
    first = prepare_pack([rules], engine, LATE)
    second = prepare_pack([rules], engine, LATE)
    assert not isinstance(first, DeferredPack)
    assert isinstance(second, DeferredPack)
    assert (second.version, second.engine_label) == (first.version, first.engine_label)
    assert os.fstat(second.image).st_size == os.fstat(first.image).st_size > 0
    first.close()
    second.close()


def test_compiled_rules_that_are_gone_before_they_are_wanted_are_compiled_once_more(
    engine: PackEngine, rules: Path, data_dir: Path
) -> None:
    first = prepare_pack([rules], engine, LATE)
    second = prepare_pack([rules], engine, LATE)
    assert isinstance(second, DeferredPack)
    lose_images(data_dir)
    assert os.fstat(second.image).st_size == os.fstat(first.image).st_size
    first.close()
    second.close()


def test_rules_that_are_others_by_then_are_refused(engine: PackEngine, rules: Path, data_dir: Path) -> None:
    prepare_pack([rules], engine, LATE).close()
    pack = prepare_pack([rules], engine, LATE)
    lose_images(data_dir)
    rules.write_text("rule other { condition: true }")
    with pytest.raises(BucklerError) as refused:
        assert pack.image
    assert refused.value.code == "RULES_CHANGED"


def test_rules_that_changed_are_compiled(engine: PackEngine, rules: Path) -> None:
    first = prepare_pack([rules], engine, LATE)
    rules.write_text("rule other { condition: true }")
    second = prepare_pack([rules], engine, LATE)
    assert second.version != first.version
    first.close()
    second.close()


def test_rules_that_do_not_compile_are_refused_before_anything_is_scanned(engine: PackEngine, rules: Path) -> None:
    rules.write_text("rule broken {")
    for _ in range(2):
        with pytest.raises(BucklerError, match=r"some\.yar"):
            prepare_pack([rules], engine, LATE)


def test_nothing_is_noted_where_nothing_is_kept(rules: Path) -> None:
    engine = PackEngine(engine_label("yara"), None, lambda: engine_named("yara"))
    first, second = (prepare_pack([rules], engine, LATE) for _ in range(2))
    assert not isinstance(second, DeferredPack)
    assert second.version == first.version
    first.close()
    second.close()


def test_images_of_another_making_are_not_fetched(engine: PackEngine, rules: Path, data_dir: Path) -> None:
    first = prepare_pack([rules], engine, LATE)
    other = CachedEngine(engine_named("yara"), "another form", KeptFiles(data_dir))
    second = prepare_pack([rules], PackEngine(engine.label, engine.notes, lambda: other), LATE)
    assert os.fstat(second.image).st_size == os.fstat(first.image).st_size
    assert len([kept for kept in (data_dir / "compiled-rules").iterdir() if not kept.name.startswith("note-")]) == 2
    # Noted anew, as what made it now has it.
    (note,) = (kept for kept in (data_dir / "compiled-rules").iterdir() if kept.name.startswith("note-"))
    assert PackNote.from_json(note.read_bytes()).made_by == other.made_by
    first.close()
    second.close()
