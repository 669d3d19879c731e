"""What follows from the verdict about a file that a scan, not an event, came upon."""

import asyncio

from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.domain.incident import Incident, IncidentAction, Origin, incident_uuid
from agent.domain.policy import Action, Verdict
from agent.domain.ports import CaptureRequest, Clock, IncidentLog, Quarantine, Randomness
from agent.domain.quarantine import CaptureState


class Consequences:
    """Takes what is infected to the vault, reports what is only reported.

    Args:
        quarantine: None: nothing is taken.
        incidents: None: nothing is reported; a person reads the output instead.
        clock: When it was found.
        randomness: Names incidents.
    """

    def __init__(
        self, quarantine: Quarantine | None, incidents: IncidentLog | None, clock: Clock, randomness: Randomness
    ) -> None:
        self._quarantine = quarantine
        self._incidents = incidents
        self._clock = clock
        self._randomness = randomness

    async def follow(self, path: str, identity: FileIdentity, facts: ScanFacts, verdict: Verdict) -> str:
        """Do it; what became of the file: empty, `quarantined`, `quarantine_failed: <why>` or `reported`."""
        if verdict.action is Action.QUARANTINE and self._quarantine is not None:
            return await self._take(self._quarantine, path, identity, facts, verdict)
        if verdict.action is not Action.NONE and self._incidents is not None:
            await asyncio.to_thread(self._incidents.record, self._reported(path, identity, facts, verdict))
            return "reported"
        return ""

    async def _take(
        self, quarantine: Quarantine, path: str, identity: FileIdentity, facts: ScanFacts, verdict: Verdict
    ) -> str:
        request = CaptureRequest(
            incident_uuid=self._randomness.uuid(),
            path=path,
            identity=identity,
            facts=facts,
            findings=verdict.findings,
            origin=Origin.SCAN,
            detected_at=self._clock.now(),
        )
        entry = await quarantine.capture(request)
        return "quarantined" if entry.state is CaptureState.DONE else f"quarantine_failed: {entry.detail}"

    def _reported(self, path: str, identity: FileIdentity, facts: ScanFacts, verdict: Verdict) -> Incident:
        return Incident(
            uuid=incident_uuid(path, identity, facts, verdict.findings),
            detected_at=self._clock.now(),
            path=path,
            sha256=facts.sha256,
            size_bytes=facts.size_bytes,
            findings=verdict.findings,
            action=IncidentAction.REPORTED,
            action_detail="",
            origin=Origin.SCAN,
            engine=facts.engine,
            signatures_version=facts.signatures_version,
        )
