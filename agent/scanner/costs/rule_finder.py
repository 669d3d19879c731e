"""Which rule made a file costly, found out behind everybody's back.

That is: when no file is being scanned, by another process, within a budget of time, and once for each content.
"""

import asyncio
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from agent.domain.blame import Blame
from agent.domain.files import FileIdentity
from agent.platform.files.regular_files import identity_of
from agent.scanner.costs.rule_timing import TimingOrder, encode_order

log = structlog.get_logger(__name__)

#: For one file, in seconds; what is known by then is told. On a machine with time to spare it takes half a minute.
BUDGET_S = 600.0
#: Then the process is ended, in seconds: one scan and its start may have begun just before.
_PATIENCE_S = 60.0
#: Files that are remembered, those asked about last.
_REMEMBERED = 32
#: How often it is looked whether the scanner rests, while a file waits for that, in seconds.
_LOOK_EVERY_S = 5.0
#: Between two files, in seconds: a machine full of slow files is not there to be measured.
_PAUSE_S = 300.0
_LONGEST_ANSWER = 64 * 1024
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
#: Times the rules in one file; given the path and told the process.
TimeApart = Callable[[str, Callable[[int | None], None]], Awaitable[Blame]]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A file as it was when it was costly."""

    identity: FileIdentity
    path: str


class RuleFinder:
    """Finds the costly rule of costly files, one at a time.

    Args:
        rests: Whether no file is being scanned at this moment.
        time_apart: Does the work, in another process.
        look_every_s: How often to ask `rests`.
        pause_s: Between two files.
    """

    def __init__(
        self,
        rests: Callable[[], bool],
        time_apart: TimeApart,
        look_every_s: float = _LOOK_EVERY_S,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._rests = rests
        self._time_apart = time_apart
        self._look_every_s = look_every_s
        self._pause_s = pause_s
        #: None: it is still to be found out.
        self._known: OrderedDict[FileIdentity, Blame | None] = OrderedDict()
        self._of_path: OrderedDict[str, FileIdentity | None] = OrderedDict()
        self._waiting: asyncio.Queue[Suspect] = asyncio.Queue(_REMEMBERED)
        self._pid: int | None = None

    def suspect(self, path: str) -> None:
        """A file was costly: find out why, unless it is known for this content already."""
        try:
            identity = identity_of(Path(path).lstat())
        except OSError:
            _remember(self._of_path, path, None)
            return
        _remember(self._of_path, path, identity)
        if identity in self._known or self._waiting.full():
            return
        _remember(self._known, identity, None)
        self._waiting.put_nowait(Suspect(identity, path))

    def said_of(self, path: str) -> str:
        """What is known of a file that was suspected; for people."""
        identity = self._of_path.get(path)
        if identity is None:
            return Blame(why_not="it cannot be read any more").sentence(path)
        blame = self._known.get(identity)
        return blame.sentence(path) if blame else f"{path}: its rules will be timed when no other file waits"

    def process_ids(self) -> frozenset[int]:
        """The process that measures now; event sources ignore what it reads."""
        return frozenset() if self._pid is None else frozenset({self._pid})

    async def run(self) -> None:
        """Find out until cancelled."""
        while True:
            suspect = await self._waiting.get()
            await self._until_the_scanner_rests()
            blame = await self._time(suspect)
            _remember(self._known, suspect.identity, blame)
            log.warning("costly_file", reason=blame.sentence(suspect.path))
            await asyncio.sleep(self._pause_s)

    async def _until_the_scanner_rests(self) -> None:
        while True:
            if self._rests():
                return
            await asyncio.sleep(self._look_every_s)

    async def _time(self, suspect: Suspect) -> Blame:
        if not _is_still(suspect):
            return Blame(why_not="it was changed or removed before its rules could be timed")
        try:
            blame = await self._time_apart(suspect.path, self._is_process)
        except OSError as error:
            return Blame(why_not=f"timing its rules failed: {error.strerror}")
        finally:
            self._pid = None
        return blame if _is_still(suspect) else Blame(why_not="it was changed while its rules were timed")

    def _is_process(self, pid: int | None) -> None:
        self._pid = pid


def _is_still(suspect: Suspect) -> bool:
    try:
        return identity_of(Path(suspect.path).lstat()) == suspect.identity
    except OSError:
        return False


def _remember(book: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Keep the newest."""
    book[key] = value
    book.move_to_end(key)
    while len(book) > _REMEMBERED:
        book.popitem(last=False)


async def time_in_another_process(order: TimingOrder, told: Callable[[int | None], None]) -> Blame:
    """Run `agent.scanner.costs.rule_timing` and read its answer.

    Args:
        order: What to time.
        told: Given the process while it runs.

    Raises:
        OSError: It cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "agent.scanner.costs.rule_timing", encode_order(order)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_ENVIRONMENT,
        cwd="/",
    )
    told(process.pid)
    try:
        async with asyncio.timeout(order.within_s + _PATIENCE_S):
            untrusted_answer, _ = await process.communicate()
    except TimeoutError:
        return Blame(why_not="timing its rules took too long")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return Blame(**json.loads(untrusted_answer[:_LONGEST_ANSWER]))
    except (ValueError, TypeError):
        return Blame(why_not="timing its rules failed")
