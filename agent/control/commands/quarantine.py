"""Take a file that was found and left: the very content that was found, or nothing."""

import asyncio
import hashlib
import os
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from agent.domain.commands import CommandOutcome, RemoteCommand
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.facts import Finding, ScanFacts, Severity
from agent.domain.files import FileIdentity
from agent.domain.incident import Origin
from agent.domain.ports import CaptureRequest, Clock, Quarantine, Randomness
from agent.domain.quarantine import CaptureState
from agent.platform.files.regular_files import open_regular
from wire.path_argument import path_from_argument

_PIECE_BYTES: Final = 1 << 20
_DIGEST_DIGITS: Final = 64


class QuarantineHandler:
    """Takes.

    Args:
        quarantine: Where it goes.
        clock: When it was ordered.
        randomness: Names the incident that tells of it.
    """

    kind: Final = "quarantine"
    may_repeat: Final = False

    def __init__(self, quarantine: Quarantine, clock: Clock, randomness: Randomness) -> None:
        self._quarantine = quarantine
        self._clock = clock
        self._randomness = randomness

    async def run(self, command: RemoteCommand) -> CommandOutcome:
        """Take one file; one that is gone already is as good as taken.

        Raises:
            BucklerError: `FILE_CHANGED`, `ARGUMENT_INVALID`, or why the vault did not take it.
        """
        path, sha256, finding = _read(command)
        found = await asyncio.to_thread(_digest, path)
        if found is None:
            return CommandOutcome(result={"outcome": "gone"})
        identity, digest = found
        if digest != sha256:
            raise BucklerError(
                "FILE_CHANGED",
                f"{path!r} has another content than the one that was found",
                next_step="have the place scanned: bucklerctl device scan DEVICE --path PATH",
                exit_status=ExitStatus.NEGATIVE,
            )
        request = CaptureRequest(
            incident_uuid=self._randomness.uuid(),
            path=path,
            identity=identity,
            facts=ScanFacts(digest, identity.size_bytes, (finding,), engine="ordered"),
            findings=(finding,),
            origin=Origin.SCAN,
            detected_at=self._clock.now(),
        )
        entry = await self._quarantine.capture(request)
        if entry.state is not CaptureState.DONE:
            raise BucklerError(
                "QUARANTINE_FAILED",
                f"{path!r} could not be taken: {entry.detail}",
                next_step="look at the device itself",
                exit_status=ExitStatus.NEGATIVE,
            )
        return CommandOutcome(result={"outcome": "quarantined", "quarantine_id": entry.id})


def _read(command: RemoteCommand) -> tuple[str, str, Finding]:
    untrusted = command.arguments
    path = os.fsdecode(path_from_argument(untrusted.get("path", "")))
    sha256 = untrusted.get("sha256", "")
    severities = {severity.value: severity for severity in Severity}
    severity = severities.get(untrusted.get("severity", ""))
    absolute = PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()
    if not absolute or "\0" in path or len(sha256) != _DIGEST_DIGITS or severity is None or not untrusted.get("rule"):
        raise BucklerError(
            "ARGUMENT_INVALID",
            "what is taken has an absolute path, the digest of its content, and the rule that found it",
            next_step="ask again with what the detection says",
        )
    finding = Finding(
        rule=untrusted["rule"],
        namespace=untrusted.get("namespace", ""),
        severity=severity,
        threat_name=untrusted.get("threat_name", ""),
    )
    return path, sha256, finding


def _digest(path: str) -> tuple[FileIdentity, str] | None:
    """What is there, and the digest of its content; None: no regular file, or one behind a link."""
    try:
        opened = open_regular(path)
        if opened is None:
            return None
        try:
            digest = hashlib.sha256()
            while piece := os.read(opened.descriptor, _PIECE_BYTES):
                digest.update(piece)
        finally:
            os.close(opened.descriptor)
    except OSError as error:
        raise BucklerError(
            "FILE_UNREADABLE",
            f"{path!r} cannot be read: {error.strerror}",
            next_step="look at the device itself",
            exit_status=ExitStatus.ENVIRONMENT,
        ) from error
    return opened.identity, digest.hexdigest()
