"""A quarantine that moves files for real and checks what it takes, without encryption or a journal on disk."""

import asyncio
import os
import stat
from pathlib import Path

from agent.domain.errors import BucklerError
from agent.domain.files import FileIdentity
from agent.domain.ports import CaptureRequest
from agent.domain.quarantine import CaptureState, FileMetadata, QuarantineEntry, RestoreReceipt


class FakeQuarantine:
    """Implements `Quarantine`; `captured` is what it was asked, `entries` what became of it."""

    def __init__(self, vault: Path) -> None:
        self._vault = vault
        self.captured: list[CaptureRequest] = []
        self.entries: dict[str, QuarantineEntry] = {}
        self.failure: Exception | None = None
        self._gate = asyncio.Event()
        self._gate.set()
        vault.mkdir(parents=True, exist_ok=True)

    def hold(self) -> None:
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    def taken(self) -> set[str]:
        """Original paths of what is in the vault."""
        return {entry.original_path for entry in self.entries.values() if entry.state is CaptureState.DONE}

    async def capture(self, request: CaptureRequest) -> QuarantineEntry:
        self.captured.append(request)
        await self._gate.wait()
        if self.failure is not None:
            raise self.failure
        state, detail, metadata = CaptureState.DONE, "", FileMetadata(0, 0, 0, 0, 0)
        entry_id = f"q_{len(self.captured)}"
        try:
            status = os.lstat(request.path)
            identity = FileIdentity(
                status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
            )
            if identity != request.identity:
                state, detail = CaptureState.FAILED, "changed"
            else:
                mode = stat.S_IMODE(status.st_mode)
                metadata = FileMetadata(mode, status.st_uid, status.st_gid, status.st_atime_ns, status.st_mtime_ns)
                await asyncio.to_thread((self._vault / entry_id).write_bytes, Path(request.path).read_bytes())
                os.unlink(request.path)
        except FileNotFoundError:
            state, detail = CaptureState.FAILED, "vanished"
        entry = QuarantineEntry(
            id=entry_id,
            incident_uuid=request.incident_uuid,
            state=state,
            original_path=request.path,
            identity=request.identity,
            sha256=request.facts.sha256,
            metadata=metadata,
            findings=request.findings,
            planned_at=request.detected_at,
            detail=detail,
        )
        self.entries[entry_id] = entry
        return entry

    async def restore(self, entry_id: str, destination: str | None, *, allow: bool) -> RestoreReceipt:
        entry = self.entries.get(entry_id)
        if entry is None or entry.state is not CaptureState.DONE:
            raise BucklerError("QUARANTINE_UNKNOWN", f"nothing named {entry_id}", next_step="see the list")
        path = destination or entry.original_path
        if Path(path).exists():
            raise BucklerError("RESTORE_WOULD_OVERWRITE", f"{path} exists", next_step="name another destination")
        Path(path).write_bytes((self._vault / entry_id).read_bytes())
        return RestoreReceipt(path, "exc_1" if allow else "")

    async def delete(self, entry_id: str) -> None:
        if self.entries.pop(entry_id, None) is None:
            raise BucklerError("QUARANTINE_UNKNOWN", f"nothing named {entry_id}", next_step="see the list")

    async def resume(self) -> int:
        return 0
