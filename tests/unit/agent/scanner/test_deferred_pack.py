import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.scanner.deferred_pack import DeferredPack, prepare_pack
from agent.scanner.engines.port import Engine
from agent.scanner.engines.registry import engine_that_remembers
from tests.fakes.clock import FakeClock

#: Files of a test have rested for a long time by this clock.
LATE = FakeClock(datetime(2090, 1, 1, tzinfo=UTC))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def engine(data_dir: Path) -> Engine:
    return engine_that_remembers("yara", data_dir)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "some.yar"
    file.write_text('rule named { condition: filename == "x" }')
    return file


def test_a_pack_that_was_compiled_before_is_fetched_when_it_is_wanted(engine: Engine, rules: Path) -> None:
    first = prepare_pack([rules], engine, LATE)
    second = prepare_pack([rules], engine, LATE)
    assert not isinstance(first, DeferredPack)
    assert isinstance(second, DeferredPack)
    assert (second.version, second.engine_label, second.names_matter) == (first.version, first.engine_label, True)
    assert os.fstat(second.image).st_size == os.fstat(first.image).st_size > 0
    first.close()
    second.close()


def test_compiled_rules_that_are_gone_before_they_are_wanted_are_compiled_once_more(
    engine: Engine, rules: Path, data_dir: Path
) -> None:
    first = prepare_pack([rules], engine, LATE)
    second = prepare_pack([rules], engine, LATE)
    assert isinstance(second, DeferredPack)
    for kept in (data_dir / "compiled-rules").iterdir():
        kept.unlink()
    assert os.fstat(second.image).st_size == os.fstat(first.image).st_size
    first.close()
    second.close()


def test_rules_that_are_others_by_then_are_refused(engine: Engine, rules: Path, data_dir: Path) -> None:
    prepare_pack([rules], engine, LATE).close()
    pack = prepare_pack([rules], engine, LATE)
    for kept in (data_dir / "compiled-rules").iterdir():
        kept.unlink()
    rules.write_text("rule other { condition: true }")
    with pytest.raises(BucklerError) as refused:
        assert pack.image
    assert refused.value.code == "RULES_CHANGED"


def test_rules_that_changed_are_compiled(engine: Engine, rules: Path) -> None:
    first = prepare_pack([rules], engine, LATE)
    rules.write_text("rule other { condition: true }")
    second = prepare_pack([rules], engine, LATE)
    assert second.version != first.version
    assert (first.names_matter, second.names_matter) == (True, False)
    first.close()
    second.close()


def test_rules_that_do_not_compile_are_refused_before_anything_is_scanned(engine: Engine, rules: Path) -> None:
    rules.write_text("rule broken {")
    for _ in range(2):
        with pytest.raises(BucklerError, match=r"some\.yar"):
            prepare_pack([rules], engine, LATE)
