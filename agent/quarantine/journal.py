"""Writing down what is about to be done to a file, and what has been done.

The row that makes an entry final and the incident for the control plane are one transaction: there is never one
without the other, whenever the power goes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from agent.domain.exclusions import Exclusion, ExclusionKind, file_subject
from agent.domain.incident import Incident, IncidentAction
from agent.domain.ports import CaptureRequest, Clock, Store, Transaction
from agent.domain.quarantine import (
    OWNER,
    RETENTION,
    CaptureState,
    FileMetadata,
    HistoryEvent,
    HistoryNote,
    QuarantineEntry,
    Retained,
)
from agent.domain.retention import HeldFile
from agent.quarantine.failures import NotTakenError

#: Setting: JSON of the staging folders outside the vault that have been used.
STAGING_FOLDERS = "staging_folders"
_NOTHING_KNOWN = FileMetadata(mode=0, owner_uid=0, owner_gid=0, accessed_ns=0, modified_ns=0)


def entry_id_of(uuid: UUID) -> str:
    """Short enough to type, and 64 bits that nobody guesses."""
    return f"q_{uuid.hex[:16]}"


def new_entry(request: CaptureRequest, entry_id: str, clock: Clock) -> QuarantineEntry:
    """The row for a request; its metadata is filled in when the file has been looked at."""
    return QuarantineEntry(
        id=entry_id,
        incident_uuid=request.incident_uuid,
        state=CaptureState.PLANNED,
        original_path=request.path,
        identity=request.identity,
        sha256=request.facts.sha256,
        metadata=_NOTHING_KNOWN,
        findings=request.findings,
        planned_at=clock.now(),
        origin=request.origin,
        engine=request.facts.engine,
        signatures_version=request.facts.signatures_version,
        detected_at=request.detected_at,
    )


def incident_of(entry: QuarantineEntry, action: IncidentAction, detail: str) -> Incident:
    """What is reported about an entry that has become final."""
    return Incident(
        uuid=entry.incident_uuid,
        detected_at=entry.detected_at or entry.planned_at,
        path=entry.original_path,
        sha256=entry.sha256,
        size_bytes=entry.identity.size_bytes,
        findings=entry.findings,
        action=action,
        action_detail=detail,
        origin=entry.origin,
        engine=entry.engine,
        signatures_version=entry.signatures_version,
        quarantine_id=entry.id if action is IncidentAction.QUARANTINED else "",
    )


def detail_when_done(entry: QuarantineEntry) -> str:
    """What the owner should know about a file that was taken."""
    others = entry.metadata.links - 1
    if others < 1:
        return ""
    names = "name" if others == 1 else "names"
    return f"{others} other {names} of the same file (hard links) stayed where they are"


class CaptureJournal:
    """The journal as the vault uses it: one method for each thing that can have happened."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def get(self, entry_id: str) -> QuarantineEntry | None:
        """One row."""
        with self._store.transaction() as tables:
            return tables.journal.get(entry_id)

    def entries(self, states: Iterable[CaptureState]) -> list[QuarantineEntry]:
        """Rows in the order they were planned."""
        with self._store.transaction() as tables:
            return tables.journal.entries(states)

    def held(self) -> list[HeldFile]:
        """The files in the vault, as far as their limits are concerned."""
        with self._store.transaction() as tables:
            return tables.journal.held()

    def retained(self) -> Retained:
        """What the vault holds."""
        with self._store.transaction() as tables:
            return tables.journal.retained()

    def plan(self, entry: QuarantineEntry, staging_folder: str, *, for_once: bool) -> QuarantineEntry:
        """The file is about to be moved to a staging folder; repeated when another place has to be tried.

        Args:
            entry: Its row, written or not.
            staging_folder: Where to; restarts look into it from now on.
            for_once: Nothing else will ever be moved there, so they need not.
        """
        planned = replace(entry, staged_path=f"{staging_folder}/{entry.id}")
        with self._store.transaction() as tables:
            if tables.journal.get(entry.id) is None:
                tables.journal.add(planned)
            else:
                tables.journal.advance(entry.id, CaptureState.PLANNED, staged_path=planned.staged_path)
            known = _folders(tables)
            if not for_once and staging_folder not in known:
                tables.settings.put(STAGING_FOLDERS, json.dumps([*known, staging_folder]))
        return planned

    def staging_folders(self) -> tuple[str, ...]:
        """All that more than one file may have waited in, beside the vault's own."""
        with self._store.transaction() as tables:
            return _folders(tables)

    def captured(self, entry: QuarantineEntry) -> QuarantineEntry:
        """The file is in staging and is the scanned one; its first row, if the way back was only noted so far."""
        captured = replace(entry, state=CaptureState.CAPTURED)
        with self._store.transaction() as tables:
            if tables.journal.get(entry.id) is None:
                tables.journal.add(captured)
            else:
                tables.journal.advance(entry.id, CaptureState.CAPTURED)
        return captured

    def advance(self, entry: QuarantineEntry, state: CaptureState) -> QuarantineEntry:
        """A step of a capture is durable."""
        with self._store.transaction() as tables:
            tables.journal.advance(entry.id, state)
        return replace(entry, state=state)

    def done(self, entry: QuarantineEntry, *, remark: str = "", left: str = "") -> QuarantineEntry:
        """The file is in the vault and no longer in its place.

        Args:
            entry: Its row.
            remark: Something else its owner should know.
            left: What is left in staging and could not be removed; empty: nothing.
        """
        detail = "; ".join(part for part in (detail_when_done(entry), remark, left) if part)
        staged_path = entry.staged_path if left else ""
        with self._store.transaction() as tables:
            tables.journal.advance(entry.id, CaptureState.DONE, detail, staged_path=staged_path)
            tables.journal.note(entry.id, self._note(HistoryEvent.TAKEN, entry.origin.value, detail))
            tables.outbox.add(incident_of(entry, IncidentAction.QUARANTINED, detail))
        return replace(entry, state=CaptureState.DONE, detail=detail, staged_path=staged_path)

    def failed(self, entry: QuarantineEntry, reason: NotTakenError) -> QuarantineEntry:
        """The file was not taken."""
        with self._store.transaction() as tables:
            planned = tables.journal.get(entry.id)
            known = planned or entry
            final = replace(known, state=CaptureState.FAILED, detail=reason.detail, staged_path=reason.left_as)
            if planned is None:
                tables.journal.add(final)
            else:
                tables.journal.advance(entry.id, CaptureState.FAILED, reason.detail, staged_path=reason.left_as)
            tables.journal.note(entry.id, self._note(HistoryEvent.NOT_TAKEN, entry.origin.value, reason.detail))
            tables.outbox.add(incident_of(final, IncidentAction.QUARANTINE_FAILED, reason.detail))
        return final

    def plan_restore(self, entry: QuarantineEntry, path: str, allowed_sha256: str) -> str:
        """The file is about to appear at `path`; from now on its content is allowed there, if a digest is given.

        Returns:
            The id of the exclusion that allows it; empty: none.
        """
        now = self._clock.now()
        with self._store.transaction() as tables:
            tables.journal.advance(entry.id, CaptureState.DONE, restore_path=path)
            if not allowed_sha256:
                return ""
            allowed = file_subject(allowed_sha256, path)
            for exclusion in tables.exclusions.all():
                forever = exclusion.kind is ExclusionKind.FILE and exclusion.expires_at is None
                if forever and exclusion.value == allowed:
                    return exclusion.id
            reason = f"restored from quarantine {entry.id}"
            own = Exclusion(_exclusion_id(entry), ExclusionKind.FILE, allowed, reason, now)
            tables.exclusions.add(own)
            return own.id

    def cancel_restore(self, entry: QuarantineEntry) -> None:
        """The file stays in the vault; the exclusion that was made for its restore goes."""
        with self._store.transaction() as tables:
            tables.journal.advance(entry.id, CaptureState.DONE, restore_path="")
            tables.exclusions.remove(_exclusion_id(entry))

    def restored(self, entry: QuarantineEntry) -> None:
        """The file is back."""
        with self._store.transaction() as tables:
            tables.journal.advance(entry.id, CaptureState.RESTORED)
            tables.journal.note(entry.id, self._note(HistoryEvent.RESTORED, OWNER, f"to {shown(entry.restore_path)}"))

    def deleted(self, entry: QuarantineEntry, actor: str, why: str) -> None:
        """The file is to be destroyed: from now on it cannot be restored."""
        with self._store.transaction() as tables:
            tables.journal.advance(entry.id, CaptureState.DELETED)
            tables.journal.note(entry.id, self._note(HistoryEvent.DELETED, actor, why))

    def announce(self, announced: Mapping[str, str], withdrawn: Iterable[str]) -> None:
        """Write down which files will be deleted and why, by id, and which will not be after all."""
        now = self._clock.now()
        with self._store.transaction() as tables:
            for entry_id, why in announced.items():
                tables.journal.announce_deletion(entry_id, now)
                tables.journal.note(entry_id, self._note(HistoryEvent.DELETION_ANNOUNCED, RETENTION, why))
            for entry_id in withdrawn:
                tables.journal.announce_deletion(entry_id, None)
                tables.journal.note(entry_id, self._note(HistoryEvent.DELETION_WITHDRAWN, RETENTION))

    def _note(self, event: HistoryEvent, actor: str, detail: str = "") -> HistoryNote:
        return HistoryNote(self._clock.now(), event, actor, detail)


def shown(path: str) -> str:
    """A path fit for a message: hostile names must not draw on a terminal."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8").encode("unicode_escape").decode("ascii")


def _folders(tables: Transaction) -> tuple[str, ...]:
    return tuple(json.loads(tables.settings.get(STAGING_FOLDERS) or "[]"))


def _exclusion_id(entry: QuarantineEntry) -> str:
    return "exc_" + entry.id.removeprefix("q_")
