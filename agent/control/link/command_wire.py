"""Commands and reports about them, in the words of the wire."""

from agent.control.link.device_report import clean_text
from agent.domain.commands import CommandEntry, CommandStage, RemoteCommand
from wire.instants import from_us
from wire.v1 import command_pb2

_STATES = {
    CommandStage.IN_PROGRESS: command_pb2.COMMAND_STATE_IN_PROGRESS,
    CommandStage.SUCCEEDED: command_pb2.COMMAND_STATE_SUCCEEDED,
    CommandStage.FAILED: command_pb2.COMMAND_STATE_FAILED,
    CommandStage.CANCELLED: command_pb2.COMMAND_STATE_CANCELLED,
}


def command_from_wire(message: command_pb2.Command) -> RemoteCommand:
    """A command from an authenticated answer."""
    return RemoteCommand(
        id=message.command_id,
        kind=message.kind,
        arguments=dict(message.arguments),
        expires_at=from_us(message.expires_at_us),
        requester=message.requester,
        reason=message.reason,
    )


def report_to_wire(entry: CommandEntry) -> command_pb2.CommandReport:
    """What became of a command."""
    return command_pb2.CommandReport(
        command_id=entry.command.id,
        state=_STATES[entry.stage],
        code=entry.code,
        message=clean_text(entry.message),
        result={name: clean_text(value) for name, value in entry.result.items()},
    )
