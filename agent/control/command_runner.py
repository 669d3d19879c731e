"""Does what the control plane asks for, and remembers what became of it.

A command is written down before the control plane hears that it arrived, begun once, and told about until the control
plane has accepted the end. What the end of this process interrupts is done again if its kind may be repeated, and is a
failure otherwise: nobody knows then how far it came.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog

from agent.domain.commands import (
    ENDED,
    CommandEntry,
    CommandOutcome,
    CommandStage,
    RemoteCommand,
    failed,
    refusal_to_begin,
)
from agent.domain.entitlement import Access
from agent.domain.errors import BucklerError
from agent.domain.ports import Clock, CommandHandler, Store

log = structlog.get_logger(__name__)
#: Reports in one check-in (device.proto).
MAX_REPORTS = 100
#: What is to be done after the control plane knows is done after this long in any case.
_PATIENCE_S = 60.0


class CommandRunner:
    """Runs commands, each in a task of its own; all methods are called on the event loop's thread.

    Args:
        store: Remembers.
        handlers: What can be done.
        access: What the entitlement allows now.
        clock: Judges expiry.
        tell: Called when there is something to report.
    """

    def __init__(
        self,
        store: Store,
        handlers: Iterable[CommandHandler],
        access: Callable[[], Access],
        clock: Clock,
        tell: Callable[[], None],
    ) -> None:
        self._store = store
        self._handlers: Mapping[str, CommandHandler] = {handler.kind: handler for handler in handlers}
        self._access = access
        self._clock = clock
        self._tell = tell
        self._wake = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._given_up: set[str] = set()
        self._afterwards: dict[str, Callable[[], Awaitable[None]]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Do commands until cancelled."""
        self._settle_interrupted()
        try:
            async with asyncio.TaskGroup() as self._group:
                while True:
                    self._wake.clear()
                    for entry in self._entries(CommandStage.RECEIVED):
                        if entry.command.id not in self._running:
                            self._begin(self._group, entry.command)
                    await self._wake.wait()
        finally:
            self._group = None
            self._running.clear()

    def _begin(self, group: asyncio.TaskGroup, command: RemoteCommand) -> None:
        task = group.create_task(self._do(command), name=command.id)
        self._running[command.id] = task
        task.add_done_callback(lambda _: self._running.pop(command.id, None))

    # ------------------------------------------------------------ what the link says and asks

    def receive(self, commands: Iterable[RemoteCommand], given_up: Iterable[str] = ()) -> None:
        """Take what arrived; one that arrived before is told about again and not done again."""
        new = list(commands)
        if new:
            with self._store.transaction() as tables:
                for command in new:
                    tables.commands.receive(command)
            self._wake.set()
        for command_id in given_up:
            self._give_up(command_id)

    def reports(self) -> list[CommandEntry]:
        """What the control plane does not know yet, the first first."""
        with self._store.transaction() as tables:
            return tables.commands.untold(MAX_REPORTS)

    def told(self, entries: Iterable[CommandEntry]) -> None:
        """The control plane has accepted these; what had to wait for it is done now."""
        accepted = list(entries)
        if not accepted:
            return
        with self._store.transaction() as tables:
            for entry in accepted:
                tables.commands.told(entry.command.id, entry.stage)
        for entry in accepted:
            if entry.stage in ENDED:
                self._do_afterwards(entry.command.id)

    def _give_up(self, command_id: str) -> None:
        task = self._running.get(command_id)
        if task is not None:
            self._given_up.add(command_id)
            task.cancel()
        for entry in self._entries(CommandStage.RECEIVED):
            if entry.command.id == command_id:
                self._advance(command_id, CommandStage.CANCELLED)

    # ------------------------------------------------------------ one command

    async def _do(self, command: RemoteCommand) -> None:
        handler = self._handlers.get(command.kind)
        refusal = refusal_to_begin(command, self._access(), self._clock.now())
        if handler is None:
            refusal = failed("KIND_UNKNOWN", f"this version of the agent does not know how to {command.kind}")
        if refusal is not None or handler is None:
            self._end(command, refusal or CommandOutcome())
            return
        self._advance(command.id, CommandStage.IN_PROGRESS)
        log.info("command_begins", id=command.id, kind=command.kind, requester=command.requester)
        try:
            outcome = await handler.run(command)
        except BucklerError as error:
            outcome = failed(error.code, f"{error.message}; {error.next_step}")
        except asyncio.CancelledError:
            if command.id not in self._given_up:
                raise
            outcome = CommandOutcome(CommandStage.CANCELLED)
        # The supervision point of every handler: its mistake costs its command and nothing else.
        except Exception as error:
            log.exception("command_broke", id=command.id, kind=command.kind)
            outcome = failed("INTERNAL", f"the agent made a mistake ({type(error).__name__})")
        self._end(command, outcome)

    def _end(self, command: RemoteCommand, outcome: CommandOutcome) -> None:
        self._given_up.discard(command.id)
        log.info("command_ends", id=command.id, kind=command.kind, stage=outcome.stage.value, code=outcome.code)
        if outcome.afterwards is not None:
            self._afterwards[command.id] = outcome.afterwards
            asyncio.get_running_loop().call_later(_PATIENCE_S, self._do_afterwards, command.id)
        self._advance(command.id, outcome.stage, outcome)

    def _do_afterwards(self, command_id: str) -> None:
        afterwards = self._afterwards.pop(command_id, None)
        if afterwards is not None and self._group is not None:
            self._group.create_task(self._finish(command_id, afterwards))

    async def _finish(self, command_id: str, afterwards: Callable[[], Awaitable[None]]) -> None:
        try:
            await afterwards()
        except BucklerError as error:
            log.error("command_not_finished", id=command_id, code=error.code, message=error.message)  # noqa: TRY400 -- expected kind

    def _advance(self, command_id: str, stage: CommandStage, outcome: CommandOutcome | None = None) -> None:
        with self._store.transaction() as tables:
            tables.commands.advance(command_id, stage, outcome)
        self._tell()

    def _settle_interrupted(self) -> None:
        for entry in self._entries(CommandStage.IN_PROGRESS):
            handler = self._handlers.get(entry.command.kind)
            if handler is not None and handler.may_repeat:
                self._advance(entry.command.id, CommandStage.RECEIVED)
            else:
                interrupted = failed("INTERRUPTED", "the agent ended while it was being done")
                with contextlib.suppress(KeyError):
                    self._advance(entry.command.id, interrupted.stage, interrupted)

    def _entries(self, stage: CommandStage) -> list[CommandEntry]:
        with self._store.transaction() as tables:
            return tables.commands.entries([stage])
