import os
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.scanner.deferred_pack import prepare_pack
from agent.scanner.engines.registry import engine_that_remembers
from agent.scanner.rulepack import load_rules


def test_a_pack_that_was_compiled_before_is_fetched_when_it_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "some.yar"
    file.write_text('rule named { condition: filename == "x" }')
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    engine = engine_that_remembers("yara", data_dir)
    first = prepare_pack(load_rules([file]), engine)
    assert os.fstat(first.image).st_size > 0
    second = prepare_pack(load_rules([file]), engine)
    # Gone before it is wanted: compiled once more, and nothing else.
    for kept in (data_dir / "compiled-rules").iterdir():
        kept.unlink()
    assert (second.version, second.engine_label, second.names_matter) == (first.version, first.engine_label, True)
    assert os.fstat(second.image).st_size == os.fstat(first.image).st_size
    for pack in (first, second):
        pack.close()


def test_rules_that_do_not_compile_are_refused_before_anything_is_scanned(tmp_path: Path) -> None:
    file = tmp_path / "some.yar"
    file.write_text("rule broken {")
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    with pytest.raises(BucklerError, match=r"some\.yar"):
        prepare_pack(load_rules([file]), engine_that_remembers("yara", data_dir))
