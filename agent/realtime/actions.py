"""What is done about an infected file: taking it under each of its names, or reporting it."""

import os

from agent.domain.files import FileIdentity
from agent.domain.incident import Incident, IncidentAction, incident_uuid
from agent.domain.ports import CaptureRequest, Clock, Quarantine, Randomness
from agent.domain.quarantine import CaptureState
from agent.platform.files.regular_files import current_path, identity_of, is_named
from agent.realtime.commands import Capture, CaptureFinished, Record


async def take(command: Capture, quarantine: Quarantine, clock: Clock, randomness: Randomness) -> CaptureFinished:
    """Capture an infected file under every name that still leads to it.

    The open descriptor says which names those are and whether the file is still the scanned one; if it is not, a new
    look has to decide, and nothing is taken.
    """
    taken: set[str] = set()
    expected, changed = command.identity, False
    for path in _names(command):
        current = identity_of(os.fstat(command.descriptor))
        if current != expected and not (taken and _same_content(current, expected)):
            changed = True
            break
        request = CaptureRequest(
            incident_uuid=randomness.uuid(),
            path=path,
            identity=current,
            facts=command.facts,
            findings=command.findings,
            origin=command.origin,
            detected_at=clock.now(),
        )
        entry = await quarantine.capture(request)
        if entry.state is CaptureState.DONE:
            taken.add(path)
        elif identity_of(os.fstat(command.descriptor)) != current:
            changed = True
    return CaptureFinished(command.job, frozenset(taken), changed)


def reported(command: Record, clock: Clock) -> Incident:
    """The incident for a file that stays where it is."""
    return Incident(
        uuid=incident_uuid(command.path, command.identity, command.facts, command.findings),
        detected_at=clock.now(),
        path=command.path,
        sha256=command.facts.sha256,
        size_bytes=command.facts.size_bytes,
        findings=command.findings,
        action=IncidentAction.BLOCKED if command.blocked else IncidentAction.REPORTED,
        action_detail="",
        origin=command.origin,
        engine=command.facts.engine,
        signatures_version=command.facts.signatures_version,
    )


def not_taken(command: Capture, detail: str, clock: Clock, randomness: Randomness) -> Incident:
    """The incident for a file that the vault could not even begin to take."""
    return Incident(
        uuid=randomness.uuid(),
        detected_at=clock.now(),
        path=command.paths[-1],
        sha256=command.facts.sha256,
        size_bytes=command.facts.size_bytes,
        findings=command.findings,
        action=IncidentAction.QUARANTINE_FAILED,
        action_detail=detail,
        origin=command.origin,
        engine=command.facts.engine,
        signatures_version=command.facts.signatures_version,
    )


def _names(command: Capture) -> list[str]:
    names = [path for path in command.paths if is_named(command.descriptor, path)]
    return names or [current_path(command.descriptor) or command.paths[-1]]


def _same_content(one: FileIdentity, other: FileIdentity) -> bool:
    """Taking one of several names changes the ctime, and nothing else."""
    return (one.size_bytes, one.mtime_ns) == (other.size_bytes, other.mtime_ns)
