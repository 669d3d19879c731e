"""Compiled rules that are kept: used only when nobody else can have touched them, and never missed."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from agent.scanner.engines.compiled_cache import CachedEngine
from agent.scanner.engines.kept_files import FOLDER, KeptFiles
from agent.scanner.engines.port import Matcher, Readable, RuleProblem, RuleSource
from tests.fakes.matcher import FakeMatcher

RULES = (RuleSource("a", "a.yar", "rule a { condition: true }"),)


class CountingEngine:
    """Its image is the text of its rules; counts how often it compiles."""

    name = "counting"

    def __init__(self, version: str = "1") -> None:
        self.version = version
        self.compiled = 0

    def compile(self, sources: Sequence[RuleSource], image: IO[bytes]) -> int:
        self.compiled += 1
        for source in sources:
            image.write(source.text.encode())
        return len(sources)

    def problem(self, source: RuleSource) -> RuleProblem | None:
        return None

    def load(self, image: Readable) -> Matcher:
        return FakeMatcher()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o711)
    return folder


def image_of(inner: CountingEngine, data_dir: Path, rules: Sequence[RuleSource] = RULES, form: str = "1") -> bytes:
    image = io.BytesIO()
    assert CachedEngine(inner, form, KeptFiles(data_dir)).compile(rules, image) == len(rules)
    assert image.getvalue() == b"".join(rule.text.encode() for rule in rules)
    return image.getvalue()


def stored(data_dir: Path) -> list[Path]:
    return sorted((data_dir / FOLDER).iterdir())


def test_what_was_compiled_once_is_not_compiled_again(data_dir: Path) -> None:
    engine = CountingEngine()
    for _ in range(3):
        image_of(engine, data_dir)
    assert engine.compiled == 1
    assert (data_dir / FOLDER).stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in stored(data_dir)] == [0o600]


def test_other_rules_namespaces_versions_or_forms_are_other_images(data_dir: Path) -> None:
    engine, newer = CountingEngine(), CountingEngine("2")
    image_of(engine, data_dir)
    image_of(engine, data_dir, (RuleSource("b", "a.yar", RULES[0].text),))
    image_of(engine, data_dir, (RuleSource("a", "a.yar", "rule b { condition: true }"),))
    image_of(engine, data_dir, form="2")
    image_of(newer, data_dir)
    assert (engine.compiled, newer.compiled, len(stored(data_dir))) == (4, 1, 5)


@pytest.mark.parametrize("damage", [b"", b"short", bytes(100)])
def test_a_damaged_file_is_thrown_away_and_made_anew(data_dir: Path, damage: bytes) -> None:
    engine = CountingEngine()
    image_of(engine, data_dir)
    (file,) = stored(data_dir)
    whole = file.read_bytes()
    file.write_bytes(damage or whole[:-1] + b"!")
    image_of(engine, data_dir)
    assert engine.compiled == 2
    assert stored(data_dir)[0].read_bytes() == whole


def test_a_file_under_the_name_of_another_pack_is_not_believed(data_dir: Path) -> None:
    engine = CountingEngine()
    image_of(engine, data_dir)
    (file,) = stored(data_dir)
    other = (RuleSource("b", "b.yar", "rule b { condition: false }"),)
    image_of(engine, data_dir, other)
    theirs = next(found for found in stored(data_dir) if found != file)
    theirs.write_bytes(file.read_bytes())
    image_of(engine, data_dir, other)
    assert engine.compiled == 3


def test_what_others_may_write_is_not_read(data_dir: Path) -> None:
    engine = CountingEngine()
    image_of(engine, data_dir)
    (file,) = stored(data_dir)
    for loosen, tighten in ((file, 0o600), (data_dir / FOLDER, 0o700), (data_dir, 0o711)):
        before = engine.compiled
        loosen.chmod(0o777)
        image_of(engine, data_dir)
        assert engine.compiled == before + 1
        loosen.chmod(tighten)


def test_links_are_not_followed(data_dir: Path, tmp_path: Path) -> None:
    engine = CountingEngine()
    image_of(engine, data_dir)
    (file,) = stored(data_dir)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    image_of(engine, data_dir)
    file.unlink(missing_ok=True)
    os.link(tmp_path / "elsewhere", file)
    image_of(engine, data_dir)
    (data_dir / FOLDER).rename(tmp_path / "moved")
    (data_dir / FOLDER).symlink_to(tmp_path / "moved")
    image_of(engine, data_dir)
    assert engine.compiled == 4


def test_where_there_can_be_no_folder_everything_is_compiled(tmp_path: Path) -> None:
    engine = CountingEngine()
    image_of(engine, tmp_path / "nowhere")
    image_of(engine, tmp_path / "nowhere")
    assert engine.compiled == 2
    assert not (tmp_path / "nowhere").exists()


def test_what_went_unused_longest_goes_first(data_dir: Path) -> None:
    engine = CountingEngine()
    packs = [(RuleSource(name, "x", "rule x { condition: true }" * 40),) for name in "abc"]

    def compile_within(bound: int, pack: tuple[RuleSource, ...]) -> None:
        CachedEngine(engine, "1", KeptFiles(data_dir, max_bytes=bound)).compile(pack, io.BytesIO())

    for age, pack in enumerate(packs[:2]):
        compile_within(10_000, pack)
        for file in stored(data_dir):
            os.utime(file, ns=(age, age))
    compile_within(10_000, packs[0])
    compile_within(2_500, packs[2])
    assert engine.compiled == 3
    compile_within(2_500, packs[0])
    assert engine.compiled == 3
    compile_within(2_500, packs[1])
    assert engine.compiled == 4
