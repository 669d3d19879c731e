"""The library with the real `buckler` as its judge, and what devices do with a bundle of it."""

import asyncio
import json
import sys
import zipfile
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.scanner.packs.rulepack import load_rules
from controlplane.releases.judging import ScannerJudge
from controlplane.runtime.refusal import Refusal
from tests.integration.server_process import installed, run

RULES = """
rule greeting { strings: $a = "a greeting of evil" condition: $a }
rule broken { condition: $missing }
rule follows { condition: broken }
rule everywhere { condition: filesize > 0 }
"""
REPEATED = 'rule greeting { meta: author = "Bob" strings: $a = "a greeting of evil" condition: $a }'


async def test_rules_of_others_become_a_bundle_that_devices_scan_with(tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path / "server"), "--output", "json")
    await installed(tmp_path / "server")
    for name, text in (("first", RULES), ("second", REPEATED)):
        (tmp_path / f"{name}.yar").write_text(text)
    clean = tmp_path / "clean"
    clean.mkdir()
    (clean / "note.txt").write_text("nothing")

    terms = ("--licence", "MIT", "--attribution", "Ann Example", "--clean", str(clean))
    imported = await run("signatures", "import", "first", str(tmp_path / "first.yar"), *terms, *place)
    assert imported.status == 0, imported.stderr
    assert [(item["rule"], item["line"]) for item in imported.answer["problems"]] == [("broken", 3), ("follows", 4)]
    assert [(hit["rule"], hit["files"]) for hit in imported.answer["clean_hits"]] == [("everywhere", 1)]
    second = await run("signatures", "import", "second", str(tmp_path / "second.yar"), *terms, *place)
    assert [item["reason"] for item in second.answer["rules_left_out"]] == ["duplicate"]
    assert [row["name"] for row in (await run("signatures", "list", *place)).answer] == ["first", "second"]

    bundle = tmp_path / "bundle.zip"
    built = await run("signatures", "build", str(bundle), "--version", "1", *place)
    assert (built.status, built.answer["rules"]) == (0, 1), built.stderr
    found = await run_scanner("scan", "--rules", str(bundle), str(tmp_path / "first.yar"), str(clean))
    record = next(json.loads(line) for line in found.splitlines() if '"file"' in line)
    assert [(item["rule"], item["credit"]) for item in record["findings"]] == [("greeting", "Ann Example (MIT)")]

    assert (await run("signatures", "remove", "first", *place)).answer["outcome"] == "removed"
    unknown = await run("signatures", "show", "first", *place)
    assert (unknown.status, unknown.error["code"]) == (2, "PACK_UNKNOWN")


async def test_a_pack_of_which_nothing_compiles_is_kept_with_the_reasons_and_builds_nothing(tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path / "server"), "--output", "json")
    await installed(tmp_path / "server")
    (tmp_path / "a.yar").write_text("rule broken { condition: $missing }")
    terms = ("--licence", "MIT", "--attribution", "Ann", "--clean", str(tmp_path))
    imported = await run("signatures", "import", "pack", str(tmp_path / "a.yar"), *terms, *place)
    assert [item["rule"] for item in imported.answer["problems"]] == ["broken"]
    built = await run("signatures", "build", str(tmp_path / "bundle.zip"), *place)
    assert (built.status, built.error["code"]) == (1, "BUNDLE_EMPTY")
    assert not (tmp_path / "bundle.zip").exists()


async def run_scanner(*arguments: str) -> str:
    program = (sys.executable, "-c", "from agent.cli.main import main; main()")
    process = await asyncio.create_subprocess_exec(
        *program, *arguments, "--output", "json", stdout=asyncio.subprocess.PIPE
    )
    stdout, _ = await process.communicate()
    return stdout.decode()


async def test_a_bundle_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    place = ("--data-dir", str(tmp_path / "server"), "--output", "json")
    await installed(tmp_path / "server")
    (tmp_path / "a.yar").write_text(REPEATED)
    terms = ("--licence", "MIT", "--attribution", "Ann", "--no-clean-check")
    await run("signatures", "import", "pack", str(tmp_path / "a.yar"), *terms, *place)
    await run("signatures", "build", str(tmp_path / "bundle.zip"), *place)
    assert load_rules([tmp_path / "bundle.zip"]).credits[0].text == "Ann (MIT)"
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    rules = "pack/a.yar"
    changed = {
        "altered": {**members, rules: members[rules] + b" "},
        "missing": {name: content for name, content in members.items() if name != rules},
        "added": {**members, "pack/b.yar": b"rule b { condition: true }"},
    }
    for change, content in changed.items():
        with zipfile.ZipFile(tmp_path / f"{change}.zip", "w") as archive:
            for name, part in content.items():
                archive.writestr(name, part)
        with pytest.raises(BucklerError) as refused:
            load_rules([tmp_path / f"{change}.zip"])
        assert refused.value.code == "RULES_INVALID", change


@pytest.mark.parametrize(
    "program", ["print('no json')", 'print(\'{"type": "rule"}\')', "import sys; sys.exit(9)", "print('{\"type\": 1}')"]
)
async def test_a_judge_that_does_not_answer_is_an_error_and_not_a_verdict(program: str) -> None:
    judge = ScannerJudge(lambda: (sys.executable, "-c", program))
    with pytest.raises(Refusal) as refused:
        await judge.compile({"a.yar": REPEATED})
    assert refused.value.reason == "SCANNER_FAILED"
