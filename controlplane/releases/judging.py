"""Judging rules with the program that will use them: `buckler`, in a process of its own.

The control plane neither compiles rules nor scans: what devices will do is what is reported here, and text of others
is read by a process that has none of the control plane's keys open.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from controlplane.releases.errors import scanner_failed
from controlplane.releases.model import CleanHit, CleanReport, CompileReport, PackRule, Problem

#: Compiling the largest public pack takes 3 s; a scan of 200,000 files some minutes.
PATIENCE_S = 3_600.0
#: The answer for the largest public pack has 2 MB.
_MAX_ANSWER_BYTES = 512 * 1024 * 1024
_SEVERITIES_OF_THREATS = frozenset({"critical", "high", "medium"})
# Exit statuses of `buckler` with which it did its work: docs/exit-status.md.
_CHECKED = frozenset({0, 2})
_SCANNED = frozenset({0, 1, 2, 3})


class Judge(Protocol):
    """Compiles rules, and tries them on clean software."""

    async def compile(self, files: Mapping[str, str]) -> CompileReport:
        """Compile each file by itself.

        Args:
            files: Texts by path, as in `Intake.files`.

        Raises:
            Refusal: SCANNER_FAILED.
        """

    async def try_on_clean_software(self, files: Mapping[str, str], folders: Sequence[Path]) -> CleanReport:
        """Scan folders that hold nothing bad.

        Raises:
            Refusal: SCANNER_FAILED.
        """


def installed_scanner() -> tuple[str, ...]:
    """The `buckler` that was installed with this program, else the one on the path.

    Raises:
        Refusal: SCANNER_FAILED, there is none.
    """
    beside = Path(sys.executable).with_name("buckler")
    found = str(beside) if beside.is_file() else shutil.which("buckler")
    if found is None:
        raise scanner_failed("there is no buckler on this machine")
    return (found,)


class ScannerJudge:
    """Asks `buckler`.

    Args:
        find_scanner: Finds the program and what stands before its arguments; called when it is asked something.
    """

    def __init__(self, find_scanner: Callable[[], Sequence[str]] = installed_scanner) -> None:
        self._find_scanner = find_scanner

    async def compile(self, files: Mapping[str, str]) -> CompileReport:
        """See `Judge`."""
        async with _written(files) as folder:
            records = await self._ask(("rules", "check", "--output", "json", str(folder)), folder, _CHECKED)
        with _understanding():
            return _compile_report(records, folder)

    async def try_on_clean_software(self, files: Mapping[str, str], folders: Sequence[Path]) -> CleanReport:
        """See `Judge`."""
        if not folders:
            return CleanReport((), 0, ())
        async with _written(files) as folder:
            flags = ("--rules", str(folder), "--skip-broken-rules", "--no-cache", "--output", "json")
            records = await self._ask(("scan", *flags, *map(str, folders)), folder, _SCANNED)
        with _understanding():
            return _clean_report(records, tuple(map(str, folders)))

    async def _ask(self, arguments: Sequence[str], folder: Path, good: frozenset[int]) -> list[dict[str, Any]]:
        # Neither the configuration nor the exclusions of an agent on this machine may have a say.
        home = folder.parent
        settings = ("--data-dir", str(home / "data"), "--config", str(home / "agent.toml"))
        with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as complaints:
            process = await asyncio.create_subprocess_exec(
                *self._find_scanner(),
                *settings,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=answer,
                stderr=complaints,
            )
            try:
                async with asyncio.timeout(PATIENCE_S):
                    status = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            answer.seek(0)
            complaints.seek(0)
            with _understanding():
                records = [json.loads(line) for line in answer.read(_MAX_ANSWER_BYTES).splitlines()]
            if status not in good or not records:
                raise scanner_failed(_complaint(complaints.read(10_000)) or f"it ended with status {status}")
            return records


@contextmanager
def _understanding() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise scanner_failed("its answer is not understood; the versions of both must be the same") from error


def _complaint(complaints: bytes) -> str:
    lines = complaints.decode("utf-8", "replace").splitlines()
    try:
        error = json.loads(lines[-1])["error"]
        return f"{error['message']} ({error['code']})"
    except (IndexError, ValueError, KeyError, TypeError):
        return lines[0][:300] if lines else ""


def _compile_report(records: Sequence[Mapping[str, Any]], folder: Path) -> CompileReport:
    by_type: dict[str, list[Mapping[str, Any]]] = {"rule": [], "left_out": [], "whole_file": [], "summary": []}
    for record in records:
        by_type[record["type"]].append(record)
    if len(by_type["summary"]) != 1:
        raise ValueError("no summary")
    return CompileReport(
        rules=tuple(
            PackRule(
                path=f"{rule['namespace']}.yar",
                name=rule["name"],
                scope=rule["scope"],
                start=rule["start"],
                end=rule["end"],
                refers_to=tuple(rule["refers_to"]),
                body_sha256=rule["body_sha256"],
            )
            for rule in by_type["rule"]
        ),
        problems=tuple(
            Problem(Path(item["origin"]).relative_to(folder).as_posix(), item["line"], item["rule"], item["reason"])
            for item in by_type["left_out"]
        ),
        whole_files=tuple(f"{item['namespace']}.yar" for item in by_type["whole_file"]),
    )


def _clean_report(records: Sequence[Mapping[str, Any]], folders: tuple[str, ...]) -> CleanReport:
    counts: Counter[tuple[str, str, str]] = Counter()
    examples: dict[tuple[str, str, str], str] = {}
    files = -1
    for record in records:
        if record["type"] == "summary":
            files = record["files"]
        elif record["type"] == "file":
            rules = {(f"{item['namespace']}.yar", item["rule"], item["severity"]) for item in record["findings"]}
            for rule in rules:
                counts[rule] += 1
                examples.setdefault(rule, record["path"])
    if files < 0:
        raise ValueError("no summary")
    hits = (CleanHit(*rule, times, examples[rule]) for rule, times in counts.items())
    threats = (hit for hit in hits if hit.severity in _SEVERITIES_OF_THREATS)
    return CleanReport(folders, files, tuple(sorted(threats, key=lambda hit: (-hit.files, hit.path, hit.rule))))


@asynccontextmanager
async def _written(files: Mapping[str, str]) -> AsyncIterator[Path]:
    """The files in a folder that goes away again, beside an empty configuration."""
    with tempfile.TemporaryDirectory(prefix="buckler-rules-") as home:
        folder = Path(home) / "rules"
        (Path(home) / "agent.toml").touch()
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # Bytes, because text files may have their line ends changed, and positions must stay what they are.
            target.write_bytes(text.encode())
        yield folder
