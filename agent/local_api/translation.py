"""Between the values of `agent.local_api.actions` and the messages of local.proto, both ways."""

import json
import os

import grpc
from google.protobuf.message import DecodeError

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.facts import Finding, Severity
from agent.domain.quarantine import HistoryEvent, HistoryNote
from agent.local_api.actions import QuarantinedFile
from agent.local_api.status import StatusField
from wire.entitlement_codec import ERROR_DETAIL_METADATA
from wire.instants import from_us, optional_from_us, to_us
from wire.v1 import device_pb2, local_pb2
from wire.v1.common_pb2 import ErrorDetail

#: Fact under which the exit status of a refusal crosses the socket.
_EXIT_STATUS = "exit_status"


def field_to_wire(field: StatusField) -> local_pb2.StatusField:
    """A line of the status."""
    return local_pb2.StatusField(name=field.name, value_json=field.json(), managed=field.managed)


def field_from_wire(field: local_pb2.StatusField) -> StatusField:
    """The other way."""
    return StatusField(field.name, json.loads(field.value_json), managed=field.managed)


def exclusion_to_wire(exclusion: Exclusion) -> local_pb2.Exclusion:
    """An exclusion."""
    return local_pb2.Exclusion(
        exclusion_id=exclusion.id,
        kind=exclusion.kind.value,
        value=path_to_text(exclusion.value),
        reason=exclusion.reason,
        created_at_us=to_us(exclusion.created_at),
        expires_at_us=to_us(exclusion.expires_at),
    )


def exclusion_from_wire(message: local_pb2.Exclusion) -> Exclusion:
    """The other way."""
    return Exclusion(
        id=message.exclusion_id,
        kind=ExclusionKind(message.kind),
        value=path_from_text(message.value),
        reason=message.reason,
        created_at=from_us(message.created_at_us),
        expires_at=optional_from_us(message.expires_at_us),
    )


def file_to_wire(file: QuarantinedFile) -> local_pb2.QuarantinedFile:
    """A quarantined file."""
    return local_pb2.QuarantinedFile(
        quarantine_id=file.id,
        original_path=os.fsencode(file.original_path),
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        quarantined_at_us=to_us(file.quarantined_at),
        findings=[
            device_pb2.Finding(
                rule=finding.rule,
                namespace=finding.namespace,
                severity=finding.severity.value,
                member_path=[path_to_text(part) for part in finding.member_path],
                threat_name=finding.threat_name,
                credit=finding.credit,
            )
            for finding in file.findings
        ],
        state=file.state,
        mode=file.mode,
        owner_uid=file.owner_uid,
        owner_gid=file.owner_gid,
        modified_ns=file.modified_ns,
        detail=path_to_text(file.detail),
        deletion_due_at_us=to_us(file.deletion_due_at),
        history=[
            local_pb2.QuarantineNote(
                at_us=to_us(note.at), event=note.event.value, actor=note.actor, detail=path_to_text(note.detail)
            )
            for note in file.history
        ],
    )


def file_from_wire(message: local_pb2.QuarantinedFile) -> QuarantinedFile:
    """The other way."""
    return QuarantinedFile(
        id=message.quarantine_id,
        original_path=os.fsdecode(message.original_path),
        sha256=message.sha256,
        size_bytes=message.size_bytes,
        quarantined_at=from_us(message.quarantined_at_us),
        findings=tuple(
            Finding(
                rule=finding.rule,
                namespace=finding.namespace,
                severity=Severity(finding.severity),
                member_path=tuple(path_from_text(part) for part in finding.member_path),
                threat_name=finding.threat_name,
                credit=finding.credit,
            )
            for finding in message.findings
        ),
        state=message.state,
        mode=message.mode,
        owner_uid=message.owner_uid,
        owner_gid=message.owner_gid,
        modified_ns=message.modified_ns,
        detail=path_from_text(message.detail),
        deletion_due_at=optional_from_us(message.deletion_due_at_us),
        history=tuple(
            HistoryNote(from_us(note.at_us), HistoryEvent(note.event), note.actor, path_from_text(note.detail))
            for note in message.history
        ),
    )


def error_to_metadata(error: BucklerError) -> tuple[tuple[str, bytes]]:
    """A refusal as trailing metadata."""
    detail = ErrorDetail(
        reason=error.code,
        message=path_to_text(error.message),
        next_step=path_to_text(error.next_step),
        facts={name: path_to_text(value) for name, value in error.facts.items()}
        | {_EXIT_STATUS: str(int(error.exit_status))},
    )
    return ((ERROR_DETAIL_METADATA, detail.SerializeToString()),)


def error_from_rpc(error: grpc.aio.AioRpcError) -> BucklerError:
    """The refusal a failed call carries, or a general one."""
    for name, value in error.trailing_metadata():
        if name != ERROR_DETAIL_METADATA or not isinstance(value, bytes):
            continue
        try:
            detail = ErrorDetail.FromString(value)
        except DecodeError:
            break
        facts = dict(detail.facts)
        status = ExitStatus(int(facts.pop(_EXIT_STATUS, int(ExitStatus.NEGATIVE))))
        return BucklerError(
            detail.reason,
            path_from_text(detail.message),
            next_step=path_from_text(detail.next_step),
            exit_status=status,
            facts=facts,
        )
    return BucklerError(
        "AGENT_NOT_ANSWERING",
        f"the running agent did not answer ({error.code().name})",
        next_step="try again; if it stays, restart the agent and look at its log",
        exit_status=ExitStatus.UNREACHABLE,
    )


def path_to_text(path: str) -> str:
    r"""A name of any bytes as valid UTF-8, so that it fits a string field: lone surrogates become `\udcXX` in ASCII.

    A backslash becomes two, so that the way back is exact.
    """
    return path.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode("utf-8")


def path_from_text(text: str) -> str:
    """The other way."""
    parts = text.split("\\\\")
    return "\\".join(_unescape(part) for part in parts)


def _unescape(part: str) -> str:
    first, *rest = part.split("\\u")
    return first + "".join(chr(int(piece[:4], 16)) + piece[4:] for piece in rest)
