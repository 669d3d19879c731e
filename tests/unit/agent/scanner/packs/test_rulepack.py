import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError, ExitStatus
from agent.scanner.packs.rule_files import builtin_signatures
from agent.scanner.packs.rulepack import compile_pack, compile_sound_rules, load_rules

GOOD = 'rule good { strings: $a = "x" condition: $a }'
BAD = "rule bad\n{\n  condition:\n    $missing }"


def test_a_file_is_its_own_namespace(tmp_path: Path) -> None:
    (tmp_path / "one.yar").write_text(GOOD)
    assert [s.namespace for s in load_rules([tmp_path / "one.yar"]).sources] == ["one"]


def test_a_folder_gives_a_namespace_per_file_and_ignores_everything_else(tmp_path: Path) -> None:
    (tmp_path / "web" / "fixtures").mkdir(parents=True)
    (tmp_path / "web" / "php.yar").write_text(GOOD)
    (tmp_path / "b.YARA").write_text(GOOD)
    (tmp_path / "web" / "fixtures" / "x.b85").write_text("no rule")
    assert [s.namespace for s in load_rules([tmp_path]).sources] == ["b", "web/php"]


def test_a_zip_is_read_like_the_folder_in_it(tmp_path: Path) -> None:
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("set/a.yar", GOOD)
        archive.writestr("../evil.yar", GOOD)
        archive.writestr("README.md", "no rule")
    assert [s.namespace for s in load_rules([path]).sources] == ["../evil", "set/a"]


def test_two_files_of_the_same_name_do_not_collide(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.yar").write_text(GOOD)
    pack = load_rules([tmp_path / "a", tmp_path / "b"])
    assert [s.namespace for s in pack.sources] == ["x", "x#2"]
    compile_pack(pack).close()


def test_the_version_is_the_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.yar"
    path.write_text(GOOD)
    first = load_rules([path]).version
    os.utime(path, (0, 0))
    assert load_rules([path]).version == first
    path.write_text(GOOD + " ")
    assert load_rules([path]).version != first


def test_a_manifest_names_the_version_and_the_age(tmp_path: Path) -> None:
    (tmp_path / "x.yar").write_text(GOOD)
    (tmp_path / "manifest.toml").write_text('version = "7.1"\nmade_at = 2026-03-01T00:00:00Z\n')
    pack = load_rules([tmp_path])
    assert pack.version.startswith("7.1-")
    assert pack.made_at == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        'version = "1"',
        "version = 1\nmade_at = 2026-03-01T00:00:00Z",
        'version = "1"\nmade_at = 2026-03-01T00:00:00',
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yar").write_text(GOOD)
    (tmp_path / "manifest.toml").write_text(text)
    with pytest.raises(BucklerError) as caught:
        load_rules([tmp_path])
    assert caught.value.code == "RULES_INVALID"


def test_a_rule_that_does_not_compile_is_named_with_file_line_and_reason(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(GOOD)
    (tmp_path / "b.yar").write_text(BAD)
    with pytest.raises(BucklerError) as caught:
        compile_pack(load_rules([tmp_path]))
    error = caught.value
    assert (error.code, error.exit_status) == ("RULES_INVALID", ExitStatus.BAD_INPUT)
    assert error.facts["file"] == str(tmp_path / "b.yar")
    assert error.facts["line"] == "4"
    assert "missing" in error.facts["reason"]
    assert str(tmp_path / "b.yar") in error.message


def test_every_broken_file_is_named_up_to_a_bound(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number:02}.yar").write_text(BAD)
    with pytest.raises(BucklerError) as caught:
        compile_pack(load_rules([tmp_path]))
    error = caught.value
    assert error.message.startswith("12 rule files do not compile: ")
    assert f"{tmp_path}/09.yar, line 4: " in error.message
    assert f"{tmp_path}/10.yar" not in error.message
    assert error.message.endswith("; and 2 more")
    assert error.facts["broken_files"] == "12"
    assert "--skip-broken-rules" in error.next_step


def test_what_compiles_of_a_pack_is_another_pack(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(f"{GOOD}\n{BAD}")
    (tmp_path / "b.yar").write_bytes(b"MZ\0\0binary")
    whole = load_rules([tmp_path])
    compiled, left_out = compile_sound_rules(whole)
    compiled.close()
    assert compiled.rule_count == 1
    assert compiled.version.startswith(whole.version)
    assert compiled.version != whole.version
    assert [(item.origin, item.rule) for item in left_out] == [(f"{tmp_path}/a.yar", "bad"), (f"{tmp_path}/b.yar", "")]


def test_a_pack_that_compiles_keeps_its_version(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(GOOD)
    whole = load_rules([tmp_path])
    compiled, left_out = compile_sound_rules(whole)
    compiled.close()
    assert (compiled.version, left_out) == (whole.version, ())


def test_a_pack_of_which_nothing_compiles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yar").write_text(BAD)
    with pytest.raises(BucklerError) as caught:
        compile_sound_rules(load_rules([tmp_path]))
    assert caught.value.code == "RULES_INVALID"


@pytest.mark.parametrize("content", [b"MZ\0\0binary", b"\xff\xfe\0r\0u", b"PK\x03\x04broken"])
def test_what_is_no_rule_text_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.yar").write_bytes(content)
    with pytest.raises(BucklerError) as caught:
        compile_pack(load_rules([tmp_path / "x.yar"]))
    assert caught.value.code == "RULES_INVALID"
    assert "\n" not in caught.value.message


def test_an_include_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yar").write_text('include "/etc/passwd"')
    with pytest.raises(BucklerError, match="include"):
        compile_pack(load_rules([tmp_path]))


def test_nothing_there_and_nothing_in_it_are_two_errors(tmp_path: Path) -> None:
    with pytest.raises(BucklerError) as missing:
        load_rules([tmp_path / "nope"])
    with pytest.raises(BucklerError) as empty:
        load_rules([tmp_path])
    assert (missing.value.code, empty.value.code) == ("RULES_NOT_FOUND", "RULES_EMPTY")


def test_the_external_variables_of_public_rule_sets_are_defined(tmp_path: Path) -> None:
    names = ("filename", "filepath", "extension", "filetype", "owner")
    conditions = " or ".join(f'{name} == "x"' for name in names)
    (tmp_path / "x.yar").write_text(f"rule x {{ condition: {conditions} }}")
    pack = compile_pack(load_rules([tmp_path]))
    assert pack.rule_count == 1
    pack.close()


def test_the_rules_that_come_with_the_program_compile_and_say_when_they_were_made() -> None:
    pack = compile_pack(load_rules([builtin_signatures()]))
    assert pack.rule_count > 15
    assert pack.version.startswith("2026.")
    assert pack.made_at.tzinfo is not None
    pack.close()
