"""The agent's two Unix sockets.

Who may do what is decided by the permissions of the socket files, which the kernel checks at `connect`: gRPC for
Python does not tell a servicer who is on the other end (docs/adr/0004-two-local-sockets.md). Hence two sockets:
everything on the one only the agent's own user and root can open, reading on the one everybody can.
"""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import grpc
import structlog

from agent.domain.costs import CostWindow
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.exclusions import ExclusionKind
from agent.domain.policy import Mode
from agent.local_api.actions import NewExclusion, OwnerActions
from agent.local_api.cost_translation import CostQuestion, costs_to_wire
from agent.local_api.settings import LocalApiSettings
from agent.local_api.status import StatusQuestion
from agent.local_api.steering import ScanAction, ScanSteering
from agent.local_api.translation import (
    error_to_metadata,
    exclusion_to_wire,
    field_to_wire,
    file_to_wire,
    path_from_text,
)
from wire.instants import optional_from_us
from wire.v1 import local_pb2
from wire.v1.local_pb2_grpc import (
    LocalControlServiceServicer,
    LocalStatusServiceServicer,
    add_LocalControlServiceServicer_to_server,
    add_LocalStatusServiceServicer_to_server,
)

log = structlog.get_logger()
Context = grpc.aio.ServicerContext[Any, Any]
_Servicer = TypeVar("_Servicer")
_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")

CONTROL_SOCKET_MODE = 0o600
STATUS_SOCKET_MODE = 0o666
#: `sun_path` of Linux holds 108 bytes with its final zero; macOS 104.
SOCKET_PATH_MAX = 103
#: Local answers are small; seconds that calls under way get when the agent stops.
_STOP_GRACE_S = 1.0


class LocalApi:
    """Serves both sockets.

    Args:
        settings: Where.
        actions: What the owner may do.
        status: The fields of the status now.
        reload_enrolment: Called after another process activated or deactivated this device, or may have done so while
            nobody listened.
        steer_scans: What the owner may do about scheduled scans.
        scan_costs: What scanning has cost.
    """

    def __init__(
        self,
        settings: LocalApiSettings,
        actions: OwnerActions,
        status: StatusQuestion,
        reload_enrolment: Callable[[], None],
        steer_scans: ScanSteering,
        scan_costs: CostQuestion,
    ) -> None:
        self._settings = settings
        self._status = _StatusServicer(status)
        self._control = _ControlServicer(actions, reload_enrolment, steer_scans, scan_costs)
        self._reload = reload_enrolment

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            BucklerError: `SOCKET_PATH_TOO_LONG`, `SOCKET_NOT_OPENED`.
        """
        changing, reading = grpc.aio.server(), grpc.aio.server()
        add_LocalStatusServiceServicer_to_server(self._status, changing)
        add_LocalControlServiceServicer_to_server(self._control, changing)
        add_LocalStatusServiceServicer_to_server(self._status, reading)
        _bind(changing, self._settings.control_socket, CONTROL_SOCKET_MODE)
        _bind(reading, self._settings.status_socket, STATUS_SOCKET_MODE)
        # Until this moment an activation that changed could be told to nobody; from here on it is, and nobody is
        # answered before.
        self._reload()
        try:
            await _start(changing, reading)
            await asyncio.Event().wait()
        finally:
            await asyncio.gather(changing.stop(_STOP_GRACE_S), reading.stop(_STOP_GRACE_S))
            for socket in (self._settings.control_socket, self._settings.status_socket):
                with suppress(FileNotFoundError):
                    socket.unlink()


async def _start(*servers: grpc.aio.Server) -> None:
    """Start; told to stop meanwhile, finish starting first, since gRPC cannot stop a server that is half started."""
    starting = asyncio.gather(*(server.start() for server in servers))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await starting
        raise


def _bind(server: grpc.aio.Server, path: Path, mode: int) -> None:
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        raise BucklerError(
            "SOCKET_PATH_TOO_LONG",
            f"the path of the agent's socket is longer than {SOCKET_PATH_MAX} bytes: {path}",
            next_step="choose a shorter --data-dir",
            exit_status=ExitStatus.ENVIRONMENT,
        )
    # The lock of the data folder says that nobody serves it: what lies there is left over from a crash.
    with suppress(FileNotFoundError):
        path.unlink()
    # Under this mask the socket is never more open than it should be, not even between bind and chmod.
    mask = os.umask(0o777 & ~CONTROL_SOCKET_MODE)
    try:
        server.add_insecure_port(f"unix:{quote(str(path))}")
        path.chmod(mode)
    except (RuntimeError, OSError) as error:
        raise BucklerError(
            "SOCKET_NOT_OPENED",
            f"the agent's socket {path} cannot be opened",
            next_step="check the permissions of its folder",
            exit_status=ExitStatus.ENVIRONMENT,
        ) from error
    finally:
        os.umask(mask)


def _answering(
    method: Callable[[_Servicer, _Request, Context], Awaitable[_Answer]],
) -> Callable[[_Servicer, _Request, Context], Coroutine[Any, Any, _Answer]]:
    """A refusal travels with its code; anything else is logged here and named without its insides."""

    @functools.wraps(method)
    async def call(self: _Servicer, request: _Request, context: Context) -> _Answer:
        try:
            return await method(self, request, context)
        except BucklerError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.code, error_to_metadata(error))
        except Exception:  # Supervision point: a bug in one call must not take the sockets down.
            log.exception("local_call_failed", call=method.__name__)
            internal = BucklerError(
                "INTERNAL",
                "the agent failed at this request",
                next_step="look at the agent's log, and report it",
                exit_status=ExitStatus.ENVIRONMENT,
            )
            await context.abort(grpc.StatusCode.INTERNAL, internal.code, error_to_metadata(internal))
        raise AssertionError("abort raises")

    return call


# Names and arguments of the methods below are the protocol's.
# ruff: noqa: N802, ARG002


class _StatusServicer(LocalStatusServiceServicer):
    def __init__(self, status: StatusQuestion) -> None:
        self._status = status

    @_answering
    async def GetStatus(self, request: local_pb2.GetStatusRequest, context: Context) -> local_pb2.GetStatusResponse:
        return local_pb2.GetStatusResponse(fields=[field_to_wire(field) for field in await self._status()])


class _ControlServicer(LocalControlServiceServicer):
    def __init__(
        self,
        actions: OwnerActions,
        reload_enrolment: Callable[[], None],
        steer_scans: ScanSteering,
        scan_costs: CostQuestion,
    ) -> None:
        self._costs = scan_costs
        self._actions = actions
        self._reload = reload_enrolment
        self._steer = steer_scans

    @_answering
    async def ReloadEnrolment(
        self, request: local_pb2.ReloadEnrolmentRequest, context: Context
    ) -> local_pb2.ReloadEnrolmentResponse:
        self._reload()
        return local_pb2.ReloadEnrolmentResponse()

    @_answering
    async def SetMode(self, request: local_pb2.SetModeRequest, context: Context) -> local_pb2.SetModeResponse:
        mode = await self._actions.set_mode(_choice(Mode, request.mode, "MODE_INVALID"))
        return local_pb2.SetModeResponse(mode=mode.value)

    @_answering
    async def ListQuarantine(
        self, request: local_pb2.ListQuarantineRequest, context: Context
    ) -> local_pb2.ListQuarantineResponse:
        files = await self._actions.quarantined()
        return local_pb2.ListQuarantineResponse(files=[file_to_wire(file) for file in files])

    @_answering
    async def RestoreQuarantined(
        self, request: local_pb2.RestoreQuarantinedRequest, context: Context
    ) -> local_pb2.RestoreQuarantinedResponse:
        destination = os.fsdecode(request.destination) or None
        receipt = await self._actions.restore(request.quarantine_id, destination, allow=request.allow)
        return local_pb2.RestoreQuarantinedResponse(
            restored_path=os.fsencode(receipt.path), exclusion_id=receipt.exclusion_id
        )

    @_answering
    async def DeleteQuarantined(
        self, request: local_pb2.DeleteQuarantinedRequest, context: Context
    ) -> local_pb2.DeleteQuarantinedResponse:
        await self._actions.delete(request.quarantine_id)
        return local_pb2.DeleteQuarantinedResponse()

    @_answering
    async def ListExclusions(
        self, request: local_pb2.ListExclusionsRequest, context: Context
    ) -> local_pb2.ListExclusionsResponse:
        exclusions = await self._actions.exclusions()
        return local_pb2.ListExclusionsResponse(exclusions=[exclusion_to_wire(row) for row in exclusions])

    @_answering
    async def AddExclusion(
        self, request: local_pb2.AddExclusionRequest, context: Context
    ) -> local_pb2.AddExclusionResponse:
        wanted = NewExclusion(
            kind=_choice(ExclusionKind, request.kind, "EXCLUSION_INVALID"),
            value=path_from_text(request.value),
            reason=request.reason,
            expires_at=optional_from_us(request.expires_at_us),
        )
        return local_pb2.AddExclusionResponse(exclusion=exclusion_to_wire(await self._actions.add_exclusion(wanted)))

    @_answering
    async def RemoveExclusion(
        self, request: local_pb2.RemoveExclusionRequest, context: Context
    ) -> local_pb2.RemoveExclusionResponse:
        await self._actions.remove_exclusion(request.exclusion_id)
        return local_pb2.RemoveExclusionResponse()

    @_answering
    async def SteerScheduledScans(
        self, request: local_pb2.SteerScheduledScansRequest, context: Context
    ) -> local_pb2.SteerScheduledScansResponse:
        fields = self._steer(_choice(ScanAction, request.action, "SCAN_ACTION_INVALID"))
        return local_pb2.SteerScheduledScansResponse(fields=[field_to_wire(field) for field in fields])

    @_answering
    async def ReadScanCosts(
        self, request: local_pb2.ReadScanCostsRequest, context: Context
    ) -> local_pb2.ReadScanCostsResponse:
        return costs_to_wire(self._costs(_choice(CostWindow, request.window, "COST_WINDOW_INVALID")))


_Choice = TypeVar("_Choice", Mode, ExclusionKind, ScanAction, CostWindow)


def _choice(kind: type[_Choice], text: str, code: str) -> _Choice:
    try:
        return kind(text)
    except ValueError as error:
        names = ", ".join(member.value for member in kind)
        raise BucklerError(code, f"{text!r} is none of {names}", next_step=f"choose one of {names}") from error
