"""Asking the running agent, for `buckler`."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import grpc

from agent.domain.costs import CostReport, CostWindow
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.exclusions import Exclusion
from agent.domain.policy import Mode
from agent.domain.quarantine import RestoreReceipt
from agent.local_api.actions import NewExclusion, QuarantinedFile
from agent.local_api.cost_translation import costs_from_wire
from agent.local_api.status import StatusField
from agent.local_api.steering import ScanAction
from agent.local_api.translation import (
    error_from_rpc,
    exclusion_from_wire,
    field_from_wire,
    file_from_wire,
    path_to_text,
)
from wire.instants import to_us
from wire.v1 import local_pb2
from wire.v1.local_pb2_grpc import LocalControlServiceStub, LocalStatusServiceStub

if TYPE_CHECKING:  # the generated file names these types for checkers only
    from collections.abc import Awaitable

    from wire.v1.local_pb2_grpc import LocalControlServiceAsyncStub

_Answer = TypeVar("_Answer")
#: Seconds for a call; restoring a large file decrypts and writes it first.
_CALL_TIMEOUT_S = 300.0
_STATUS_TIMEOUT_S = 10.0


def agent_answers(path: Path) -> bool:
    """Whether an agent listens on a socket; a file that a crash left behind does not count.

    Raises:
        BucklerError: `NOT_PERMITTED` when somebody listens there who does not listen to this user.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fsencode(path))
        except PermissionError as error:
            raise BucklerError(
                "NOT_PERMITTED",
                "this user may not change the running agent",
                next_step="run the command as root, or as the user the agent runs as",
                exit_status=ExitStatus.ENVIRONMENT,
                facts={"socket": str(path)},
            ) from error
        except OSError:
            return False
    return True


async def ask_status(path: Path) -> tuple[StatusField, ...]:
    """The status of the agent that listens on a socket.

    Raises:
        BucklerError: `AGENT_NOT_ANSWERING`.
    """
    async with _channel(path) as channel:
        stub = LocalStatusServiceStub(channel)
        try:
            answer = await stub.GetStatus(local_pb2.GetStatusRequest(), timeout=_STATUS_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise error_from_rpc(error) from error
    return tuple(field_from_wire(field) for field in answer.fields)


class RemoteActions:
    """Port `agent.local_api.actions.OwnerActions`, done by the running agent.

    Args:
        stub: The changing socket's service.
    """

    def __init__(self, stub: "LocalControlServiceAsyncStub") -> None:
        self._stub = stub

    async def reload_enrolment(self) -> None:
        """Tell the agent that the activation on disk changed."""
        await _told(self._stub.ReloadEnrolment(local_pb2.ReloadEnrolmentRequest(), timeout=_CALL_TIMEOUT_S))

    async def quarantined(self) -> tuple[QuarantinedFile, ...]:
        """All journal rows, oldest first."""
        answer = await _told(self._stub.ListQuarantine(local_pb2.ListQuarantineRequest(), timeout=_CALL_TIMEOUT_S))
        return tuple(file_from_wire(file) for file in answer.files)

    async def restore(self, entry_id: str, destination: str | None, *, allow: bool) -> RestoreReceipt:
        """Bring a file back."""
        request = local_pb2.RestoreQuarantinedRequest(
            quarantine_id=entry_id, destination=os.fsencode(destination or ""), allow=allow
        )
        answer = await _told(self._stub.RestoreQuarantined(request, timeout=_CALL_TIMEOUT_S))
        return RestoreReceipt(os.fsdecode(answer.restored_path), answer.exclusion_id)

    async def delete(self, entry_id: str) -> None:
        """Destroy the quarantined copy."""
        request = local_pb2.DeleteQuarantinedRequest(quarantine_id=entry_id)
        await _told(self._stub.DeleteQuarantined(request, timeout=_CALL_TIMEOUT_S))

    async def exclusions(self) -> tuple[Exclusion, ...]:
        """Those the owner added, oldest first."""
        answer = await _told(self._stub.ListExclusions(local_pb2.ListExclusionsRequest(), timeout=_CALL_TIMEOUT_S))
        return tuple(exclusion_from_wire(row) for row in answer.exclusions)

    async def add_exclusion(self, wanted: NewExclusion) -> Exclusion:
        """Leave something alone from now on."""
        request = local_pb2.AddExclusionRequest(
            kind=wanted.kind.value,
            value=path_to_text(wanted.value),
            reason=wanted.reason,
            expires_at_us=to_us(wanted.expires_at),
        )
        answer = await _told(self._stub.AddExclusion(request, timeout=_CALL_TIMEOUT_S))
        return exclusion_from_wire(answer.exclusion)

    async def remove_exclusion(self, exclusion_id: str) -> None:
        """Look at it again."""
        request = local_pb2.RemoveExclusionRequest(exclusion_id=exclusion_id)
        await _told(self._stub.RemoveExclusion(request, timeout=_CALL_TIMEOUT_S))

    async def set_mode(self, mode: Mode) -> Mode:
        """Choose between notify and block."""
        answer = await _told(self._stub.SetMode(local_pb2.SetModeRequest(mode=mode.value), timeout=_CALL_TIMEOUT_S))
        return Mode(answer.mode)

    async def steer_scans(self, action: ScanAction) -> tuple[StatusField, ...]:
        """Do something about scheduled scans, and tell how they stand then."""
        request = local_pb2.SteerScheduledScansRequest(action=action.value)
        answer = await _told(self._stub.SteerScheduledScans(request, timeout=_CALL_TIMEOUT_S))
        return tuple(field_from_wire(field) for field in answer.fields)

    async def scan_costs(self, window: CostWindow) -> CostReport:
        """What scanning has cost."""
        request = local_pb2.ReadScanCostsRequest(window=window.value)
        return costs_from_wire(window, await _told(self._stub.ReadScanCosts(request, timeout=_STATUS_TIMEOUT_S)))


@asynccontextmanager
async def remote_actions(path: Path) -> AsyncIterator[RemoteActions]:
    """The actions of the agent that listens on a socket, until the block ends."""
    async with _channel(path) as channel:
        yield RemoteActions(LocalControlServiceStub(channel))


def _channel(path: Path) -> grpc.aio.Channel:
    # A proxy in the environment is for the network, not for a file.
    options = (("grpc.enable_http_proxy", 0), ("grpc.default_authority", "buckler.local"))
    return grpc.aio.insecure_channel(f"unix:{quote(str(path))}", options=options)


async def _told(call: "Awaitable[_Answer]") -> _Answer:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise error_from_rpc(error) from error
