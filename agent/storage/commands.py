"""The table of commands; port `agent.domain.ports.CommandRecord`."""

import json
import sqlite3
from collections.abc import Iterable

from agent.domain.commands import ENDED, CommandEntry, CommandOutcome, CommandStage, RemoteCommand
from agent.storage.encoding import instant_from_column, instant_to_column

#: Ended commands that are remembered, so that a repeat is answered and not done again. The control plane repeats a
#: command within minutes; this is years of them.
REMEMBERED = 1_000
_COLUMNS = "id, kind, arguments, expires_at, requester, reason, stage, code, message, result"


class SqliteCommands:
    """Commands, inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def receive(self, command: RemoteCommand) -> None:
        """Insert; one that is there already is told about again, and not done again."""
        self._connection.execute(
            f"INSERT INTO command ({_COLUMNS}, told) VALUES (?, ?, ?, ?, ?, ?, 'received', '', '', '{{}}', 0) "  # noqa: S608 -- constants
            "ON CONFLICT (id) DO UPDATE SET told = 0",
            (
                command.id,
                command.kind,
                json.dumps(dict(command.arguments), sort_keys=True),
                instant_to_column(command.expires_at),
                command.requester,
                command.reason,
            ),
        )

    def advance(self, command_id: str, stage: CommandStage, outcome: CommandOutcome | None = None) -> None:
        """Move a command on; what is new is to be told.

        Raises:
            KeyError: There is no such command.
        """
        told = outcome or CommandOutcome(stage)
        changed = self._connection.execute(
            "UPDATE command SET stage = ?, code = ?, message = ?, result = ?, told = 0 WHERE id = ?",
            (stage.value, told.code, told.message, json.dumps(dict(told.result), sort_keys=True), command_id),
        )
        if changed.rowcount != 1:
            raise KeyError(command_id)

    def entries(self, stages: Iterable[CommandStage]) -> list[CommandEntry]:
        """Commands at these stages, in the order in which they came."""
        wanted = [stage.value for stage in stages]
        marks = ", ".join("?" * len(wanted))
        return self._read(f"stage IN ({marks}) ORDER BY number", wanted)

    def untold(self, limit: int) -> list[CommandEntry]:
        """Begun or ended commands that the control plane has not accepted a report about, the first first."""
        return self._read("told = 0 AND stage <> 'received' ORDER BY number LIMIT ?", [limit])

    def told(self, command_id: str, stage: CommandStage) -> None:
        """The control plane has accepted that a command is at this stage; old ones are forgotten then."""
        self._connection.execute("UPDATE command SET told = 1 WHERE id = ? AND stage = ?", (command_id, stage.value))
        if stage in ENDED:
            self._connection.execute(
                "DELETE FROM command WHERE told = 1 AND number <= (SELECT max(number) FROM command) - ?", (REMEMBERED,)
            )

    def _read(self, where: str, values: Iterable[str | int]) -> list[CommandEntry]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM command WHERE {where}", tuple(values))  # noqa: S608 -- our own conditions
        return [
            CommandEntry(
                RemoteCommand(
                    row["id"],
                    row["kind"],
                    json.loads(row["arguments"]),
                    instant_from_column(row["expires_at"]),
                    row["requester"],
                    row["reason"],
                ),
                CommandStage(row["stage"]),
                row["code"],
                row["message"],
                json.loads(row["result"]),
            )
            for row in rows
        ]
