"""`buckler scan` as a person or a program calls it: exit status, standard output, standard error."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from agent.cli.invocation import Common, Output
from agent.cli.scan.command import scan, scan_command
from agent.cli.scan.request import ScanDefaults, ScanPlace, ScanWiring
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.files import FileIdentity
from agent.domain.policy import Policy
from agent.domain.ports import CaptureRequest
from agent.domain.quarantine import CaptureState, FileMetadata, QuarantineEntry, RestoreReceipt
from agent.platform.accounts import account_name
from agent.platform.clock import SystemClock
from agent.platform.randomness import SystemRandomness
from agent.scanner.engines.registry import ENGINE_NAMES
from tests.fakes.archives import zip_of
from tests.fakes.eicar import EICAR
from tests.integration.compiled_rules import remembering_engine


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call gave back."""

    status: int
    out: str
    err: str
    error: BucklerError | None

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        return {Path(r["path"]).name: r for r in self.records if r["type"] == "file"}


def call(*arguments: str | Path, command: Any = None, before: Common | None = None) -> Outcome:
    app = typer.Typer()
    app.command()(command or wired(FakeVault()))
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], obj=before)
    error = result.exception if isinstance(result.exception, BucklerError) else None
    if result.exception is not None and error is None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(error.exit_status if error else result.exit_code, result.stdout, result.stderr, error)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clean.txt").write_text("hello")
    return tmp_path


def test_json_may_be_asked_for_before_the_command(folder: Path) -> None:
    (summary,) = call(folder, before=Common(Output.JSON)).records
    assert (summary["type"], summary["clean"]) == ("summary", 1)


def test_a_clean_folder_is_0_and_says_only_the_summary(folder: Path) -> None:
    outcome = call(folder, "--output", "json", command=scan)
    assert outcome.status == 0
    (summary,) = outcome.records
    assert {
        name: summary[name] for name in ("type", "files", "bytes", "clean", "infected", "incomplete", "errors")
    } == {
        "type": "summary",
        "files": 1,
        "bytes": 5,
        "clean": 1,
        "infected": 0,
        "incomplete": 0,
        "errors": 0,
    }
    assert summary["engine"].startswith("yara ")
    assert summary["cached"] == 0


def test_a_threat_is_1_and_its_record_names_the_member(folder: Path) -> None:
    (folder / "a.zip").write_bytes(zip_of({"b/c.txt": EICAR}))
    outcome = call(folder, "--output", "json")
    assert outcome.status == 1
    record = outcome.files["a.zip"]
    assert record["verdict"] == "infected"
    assert record["cached"] is False
    assert "a.zip!b/c.txt" in [finding["member"] for finding in record["findings"]]
    assert record["findings"][0]["namespace"] == "test_files/eicar"


def test_text_output_names_the_file_and_the_threat(folder: Path) -> None:
    (folder / "e.com").write_bytes(EICAR)
    outcome = call(folder)
    assert outcome.status == 1
    assert f"{folder}/e.com: infected: EICAR-Test-File" in outcome.out
    assert "clean.txt" not in outcome.out
    assert outcome.err == ""


def test_verbose_shows_clean_files_too(folder: Path) -> None:
    assert call(folder, "--output", "json", "--verbose").files["clean.txt"]["verdict"] == "clean"


@pytest.mark.parametrize(
    ("flags", "reason", "limit"),
    [
        (["--max-file-size", "10"], "max_file_size", 10),
        (["--max-depth", "0"], "max_depth", 0),
        (["--max-members", "1"], "max_members", 1),
        (["--max-expanded-size", "1K"], "max_expanded_size", 1024),
    ],
)
def test_a_limit_that_stops_us_is_3_and_is_named_with_its_value(
    folder: Path, flags: list[str], reason: str, limit: int
) -> None:
    (folder / "a.zip").write_bytes(zip_of({"a": bytes(2000), "b": bytes(2000)}))
    outcome = call(folder, "--output", "json", *flags)
    assert outcome.status == 3
    record = outcome.files["a.zip"]
    assert record["verdict"] == "incomplete"
    assert record["reasons"][0] == f"incomplete:{reason}"
    assert record["incomplete"][0]["limit"] == limit


def test_a_threat_counts_more_than_an_error_and_an_error_more_than_a_limit(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "a.zip").write_bytes(zip_of({"a": b"x"}))
    limited: list[str | Path] = [folder / "a.zip", "--max-depth", "0"]
    assert call(*limited).status == 3
    assert call(folder / "pipe", *limited).status == 2
    (folder / "e").write_bytes(EICAR)
    assert call(folder / "e", folder / "pipe", *limited).status == 1


def test_what_is_no_file_is_an_error_if_named_and_nothing_if_met(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    named = call(folder / "pipe", "--output", "json")
    assert (named.status, named.files["pipe"]["reasons"]) == (2, ["error:not_a_regular_file"])
    assert call(folder).status == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_an_error(folder: Path) -> None:
    (folder / "clean.txt").chmod(0)
    assert call(folder, "--output", "json").files["clean.txt"]["verdict"] == "error"


def test_a_path_that_is_not_there_scans_nothing(folder: Path) -> None:
    (folder / "e").write_bytes(EICAR)
    outcome = call(folder / "e", folder / "nope")
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code, outcome.out) == (2, "PATH_NOT_FOUND", "")


def test_bad_rules_scan_nothing_and_name_file_line_and_reason(folder: Path) -> None:
    (folder / "bad.yar").write_text("rule x {\n condition: $nope }")
    (folder / "e").write_bytes(EICAR)
    outcome = call(folder / "e", "--rules", folder / "bad.yar", "--output", "json")
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code, outcome.out) == (2, "RULES_INVALID", "")
    assert outcome.error.facts["line"] == "2"


@pytest.mark.parametrize(
    "flags",
    [["--nonsense"], [], ["--timeout", "0"], ["--max-file-size", "lots"], ["--jobs", "-1"], ["--output", "xml"]],
)
def test_bad_usage_is_2(folder: Path, flags: list[str]) -> None:
    assert call(*([folder] if flags else []), *flags).status == 2


def test_rules_of_ones_own_replace_those_that_came_with_the_program(folder: Path) -> None:
    (folder / "own.yar").write_text('rule mine { meta: severity = "low" strings: $a = "hello" condition: $a }')
    (folder / "e").write_bytes(EICAR)
    outcome = call(folder / "e", folder / "clean.txt", "--rules", folder / "own.yar", "--output", "json")
    assert outcome.status == 0
    assert [f["rule"] for f in outcome.files["clean.txt"]["findings"]] == ["mine"]


def test_names_of_any_bytes_stay_one_line_of_text_and_come_back_from_json(folder: Path) -> None:
    raw = os.fsencode(folder) + b"/\xff\n.com"
    Path(os.fsdecode(raw)).write_bytes(EICAR)
    assert "\\udcff\\n.com: infected" in call(folder).out
    paths = [record["path"] for record in call(folder, "--output", "json").records if record["type"] == "file"]
    assert [os.fsencode(path) for path in paths] == [raw]


@dataclass(slots=True)
class FakeVault:
    """Takes everything and remembers it; implements `Quarantine`."""

    state: CaptureState = CaptureState.DONE
    taken: list[CaptureRequest] = field(default_factory=list)

    async def capture(self, request: CaptureRequest) -> QuarantineEntry:
        self.taken.append(request)
        detail = "" if self.state is CaptureState.DONE else "it changed"
        return QuarantineEntry(
            "q1",
            request.incident_uuid,
            self.state,
            request.path,
            request.identity,
            request.facts.sha256,
            FileMetadata(0o644, 0, 0, 0, 0),
            request.findings,
            request.detected_at,
            detail,
        )

    async def restore(self, entry_id: str, destination: str | None, *, allow: bool) -> RestoreReceipt:
        raise AssertionError(entry_id)

    async def delete(self, entry_id: str) -> None:
        raise AssertionError(entry_id)

    async def resume(self) -> int:
        return 0


def wired(vault: FakeVault, policy: Policy | None = None) -> Any:
    @contextmanager
    def opened(_place: ScanPlace) -> Iterator[FakeVault]:
        yield vault

    defaults = ScanDefaults(policy=policy or Policy())
    wiring = ScanWiring(SystemClock(), SystemRandomness(), lambda _place: defaults, opened)
    return scan_command(replace(wiring, engine_of=lambda _place, name: remembering_engine(name)))


def test_quarantine_takes_exactly_the_file_that_was_scanned(folder: Path) -> None:
    (folder / "e").write_bytes(EICAR)
    status = (folder / "e").stat()
    vault = FakeVault()
    outcome = call(folder, "--quarantine", "--output", "json", command=wired(vault))
    (request,) = vault.taken
    assert request.path == str(folder / "e")
    assert request.identity == FileIdentity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
    assert (outcome.status, outcome.files["e"]["action"]) == (1, "quarantined")


def test_a_file_that_could_not_be_taken_says_why(folder: Path) -> None:
    (folder / "e").write_bytes(EICAR)
    outcome = call(folder, "--quarantine", command=wired(FakeVault(CaptureState.FAILED)))
    assert "quarantine_failed: it changed" in outcome.out


def test_without_the_flag_nothing_is_taken(folder: Path) -> None:
    (folder / "e").write_bytes(EICAR)
    vault = FakeVault()
    assert call(folder, command=wired(vault)).status == 1
    assert vault.taken == []


@pytest.mark.parametrize(
    ("kind", "value"), [(ExclusionKind.RULE, "test_files/eicar.eicar_test_file"), (ExclusionKind.PATH, "FOLDER/e")]
)
def test_the_owners_exclusions_hold(folder: Path, kind: ExclusionKind, value: str) -> None:
    (folder / "e").write_bytes(EICAR)
    exclusion = Exclusion("exc_1", kind, value.replace("FOLDER", str(folder)), "mine", datetime(2026, 3, 2, tzinfo=UTC))
    policy = replace(Policy(), exclusions=(exclusion,))
    assert call(folder, command=wired(FakeVault(), policy)).status == ExitStatus.OK


def test_a_program_alone_has_no_vault(folder: Path) -> None:
    outcome = call(folder, "--quarantine", command=scan)
    assert outcome.error is not None
    assert outcome.error.code == "QUARANTINE_UNAVAILABLE"


BROKEN = "rule fine { condition: true }\nrule broken { condition: $x }\n"


def test_broken_rules_scan_nothing_unless_they_may_be_left_out(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rules = tmp_path_factory.mktemp("rules") / "a.yar"
    rules.write_text(BROKEN)
    refused = call(folder, "--rules", rules)
    assert (refused.status, refused.out) == (2, "")
    assert refused.error is not None
    assert refused.error.code == "RULES_INVALID"
    outcome = call(folder, "--rules", rules, "--skip-broken-rules", "--output", "json")
    assert outcome.status == 1
    assert [finding["rule"] for finding in outcome.files["clean.txt"]["findings"]] == ["fine"]
    assert outcome.records[-1]["rules_skipped"] == 1
    assert outcome.err.startswith(f"left out: {rules}, line 2: rule broken: ")


def test_with_rules_that_compile_nothing_is_left_out(folder: Path) -> None:
    outcome = call(folder, "--skip-broken-rules", "--output", "json")
    assert (outcome.status, outcome.records[-1]["rules_skipped"], outcome.err) == (0, 0, "")


def test_the_engine_can_be_chosen(folder: Path) -> None:
    (folder / "e.com").write_bytes(EICAR)
    outcome = call(folder, "--engine", "boreal", "--output", "json")
    assert outcome.status == 1
    assert outcome.files["e.com"]["verdict"] == "infected"
    assert outcome.records[-1]["engine"].startswith("boreal ")


def test_an_engine_that_does_not_exist_scans_nothing(folder: Path) -> None:
    outcome = call(folder, "--engine", "clam")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.error is not None
    assert outcome.error.code == "ENGINE_UNKNOWN"


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_rules_are_told_type_and_owner_by_the_worker(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, engine: str
) -> None:
    owner = account_name(os.getuid())
    rules = tmp_path_factory.mktemp("rules") / "a.yar"
    rules.write_text(
        f'rule mine {{ condition: filetype == "EXE" and owner == "{owner}" }} rule nobodys {{ condition: owner == "" }}'
    )
    (folder / "a.zip").write_bytes(zip_of({"b.exe": b"MZ"}))
    outcome = call(folder, "--rules", rules, "--engine", engine, "--output", "json")
    assert [(f["rule"], f["member"]) for f in outcome.files["a.zip"]["findings"]] == [("mine", "a.zip!b.exe")]
    assert "clean.txt" not in outcome.files
