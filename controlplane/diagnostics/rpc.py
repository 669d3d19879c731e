"""DiagnosticsService on the wire, and the call of devices that belongs to it."""

from typing import Any

import grpc

from controlplane.commands.rows import COMMAND_KEY
from controlplane.devices.rpc import MAX_ID_CHARACTERS
from controlplane.diagnostics.service import BundleView, DiagnosticsService
from controlplane.diagnostics.uploads import MOST_BYTES, PIECE_BYTES, Piece
from controlplane.runtime.fields import invalid, text
from controlplane.runtime.paging import page_token, read_page
from controlplane.runtime.principal import DevicePrincipal, current_person
from controlplane.storage.types import optional_microseconds, to_microseconds
from wire.v1 import diagnostics_pb2
from wire.v1.diagnostics_pb2_grpc import DiagnosticsServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]
_DIGEST_BYTES = 32


class DiagnosticsRpc(DiagnosticsServiceServicer):
    """The servicer of bundles, for people."""

    def __init__(self, service: DiagnosticsService) -> None:
        self._service = service

    async def ListBundles(  # noqa: N802 -- the name is the protocol's
        self, request: diagnostics_pb2.ListBundlesRequest, _context: Context
    ) -> diagnostics_pb2.ListBundlesResponse:
        """Bundles that were asked for, the newest first, a page at a time."""
        page = read_page(request.page.page_size, request.page.page_token, COMMAND_KEY)
        device_id = text("device_id", request.device_id, limit=MAX_ID_CHARACTERS)
        found = await self._service.page(current_person().org_id, page, device_id)
        return diagnostics_pb2.ListBundlesResponse(
            bundles=[_record(view) for view in found.views],
            next_page_token=page_token(found.next_key) if found.next_key else "",
        )

    async def ReadBundle(  # noqa: N802 -- the name is the protocol's
        self, request: diagnostics_pb2.ReadBundleRequest, _context: Context
    ) -> diagnostics_pb2.ReadBundleResponse:
        """A piece of a bundle that is ready."""
        command_id = text("command_id", request.command_id, limit=MAX_ID_CHARACTERS, required=True)
        if request.offset > MOST_BYTES:
            raise invalid("offset", "is beyond every bundle")
        read = await self._service.read(current_person(), command_id, request.offset)
        return diagnostics_pb2.ReadBundleResponse(
            content=read.content,
            next_offset=read.offset + len(read.content),
            total_bytes=read.bundle.total_bytes,
            sha256=read.bundle.sha256,
        )


class DiagnosticUploadsRpc:
    """Implements `devices.ports.DiagnosticCalls`."""

    def __init__(self, service: DiagnosticsService) -> None:
        self._service = service

    async def upload(
        self, request: diagnostics_pb2.UploadDiagnosticsRequest, principal: DevicePrincipal
    ) -> diagnostics_pb2.UploadDiagnosticsResponse:
        """Answer `UploadDiagnostics`."""
        received = await self._service.receive(principal, read_piece(request))
        return diagnostics_pb2.UploadDiagnosticsResponse(next_offset=received.next_offset, complete=received.complete)


def read_piece(untrusted: diagnostics_pb2.UploadDiagnosticsRequest) -> Piece:
    """Check one piece.

    Raises:
        Refusal: `INVALID_REQUEST`, naming the field.
    """
    if not 0 < untrusted.total_bytes <= MOST_BYTES:
        raise invalid("total_bytes", f"is not 1 to {MOST_BYTES}")
    if len(untrusted.sha256) != _DIGEST_BYTES:
        raise invalid("sha256", f"does not have {_DIGEST_BYTES} bytes")
    if len(untrusted.content) > PIECE_BYTES:
        raise invalid("content", f"has more than {PIECE_BYTES} bytes")
    if untrusted.offset + len(untrusted.content) > untrusted.total_bytes:
        raise invalid("content", "goes beyond the end of the bundle")
    return Piece(
        command_id=text("command_id", untrusted.command_id, limit=MAX_ID_CHARACTERS, required=True),
        total_bytes=untrusted.total_bytes,
        sha256=untrusted.sha256,
        offset=untrusted.offset,
        content=untrusted.content,
    )


def _record(view: BundleView) -> diagnostics_pb2.BundleRecord:
    command, bundle = view.asked.command, view.bundle
    return diagnostics_pb2.BundleRecord(
        command_id=command.command_id,
        device_id=command.device_id,
        device_name=view.asked.device_name,
        state=view.state.value,
        requester=command.requester,
        reason=command.reason,
        requested_at_us=to_microseconds(command.requested_at),
        received_at_us=optional_microseconds(bundle.received_at) if bundle else 0,
        expires_at_us=to_microseconds(bundle.expires_at) if bundle and bundle.received_at else 0,
        size_bytes=bundle.total_bytes if bundle else 0,
        received_bytes=bundle.received_bytes if bundle else 0,
        code=command.code,
        message=command.message,
    )
