"""A quarantine that moves files for real and checks what it takes, without encryption or a journal on disk."""

import asyncio
import stat
from pathlib import Path

from agent.domain.errors import BucklerError
from agent.domain.ports import CaptureRequest
from agent.domain.quarantine import CaptureState, FileMetadata, QuarantineEntry, RestoreReceipt
from agent.platform.files.regular_files import identity_of


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
        entry_id = f"q_{len(self.captured)}"
        state, detail, metadata = self._take(request, entry_id)
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
        return self._put_back(entry_id, Path(destination or entry.original_path), allow=allow)

    async def delete(self, entry_id: str) -> None:
        if self.entries.pop(entry_id, None) is None:
            raise BucklerError("QUARANTINE_UNKNOWN", f"nothing named {entry_id}", next_step="see the list")

    async def resume(self) -> int:
        return 0

    def _take(self, request: CaptureRequest, entry_id: str) -> tuple[CaptureState, str, FileMetadata]:
        nothing = FileMetadata(0, 0, 0, 0, 0)
        path = Path(request.path)
        try:
            status = path.lstat()
            if identity_of(status) != request.identity:
                return CaptureState.FAILED, "changed", nothing
            (self._vault / entry_id).write_bytes(path.read_bytes())
            path.unlink()
        except FileNotFoundError:
            return CaptureState.FAILED, "vanished", nothing
        mode = stat.S_IMODE(status.st_mode)
        metadata = FileMetadata(mode, status.st_uid, status.st_gid, status.st_atime_ns, status.st_mtime_ns)
        return CaptureState.DONE, "", metadata

    def _put_back(self, entry_id: str, path: Path, *, allow: bool) -> RestoreReceipt:
        if path.exists():
            raise BucklerError("RESTORE_WOULD_OVERWRITE", f"{path} exists", next_step="name another destination")
        path.write_bytes((self._vault / entry_id).read_bytes())
        return RestoreReceipt(str(path), "exc_1" if allow else "")
