"""What commands ask for: of the running agent if there is one, else done here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.boards import board_without_service, reporter
from agent.config import AgentConfig
from agent.control.activation_memory import refusals_remembered
from agent.control.channel import read_authorities
from agent.control.enrolment.enroller import ActivationOrder, ActivationOutcome, Enroller
from agent.control.link.control_link import ControlLink, not_activated
from agent.device import Device, direct_actions, open_device
from agent.domain.errors import BucklerError, ExitStatus
from agent.local_api.actions import OwnerActions
from agent.local_api.client import agent_answers, ask_status, remote_actions
from agent.local_api.status import (
    StatusField,
)
from agent.local_api.steering import ScanAction
from agent.platform.data_dir import prepare_data_dir
from agent.platform.files.lock import AgentLock
from agent.platform.program import app_version
from agent.platform.system_facts import read_system_facts


@asynccontextmanager
async def owner_actions(config: AgentConfig) -> AsyncIterator[OwnerActions]:
    """The owner's actions: the running agent's, or, while none runs, done here with the agent kept from starting.

    Raises:
        BucklerError: `NOT_PERMITTED` when an agent runs that this user may not change.
    """
    socket = config.locations.local_api.control_socket
    if agent_answers(socket):
        async with remote_actions(socket) as actions:
            yield actions
        return
    prepare_data_dir(config.locations.data_dir)
    with AgentLock(config.locations.lock), open_device(config) as device:
        yield direct_actions(device, device.book.set_mode)


async def activate_device(
    config: AgentConfig, key: str, server: str, ca_file: Path | None, *, new_key: bool = False
) -> ActivationOutcome:
    """Activate, and tell a running agent; see `Enroller.activate`."""
    with open_device(config) as device:
        order = ActivationOrder(key, server, read_authorities(ca_file), new_key)
        with refusals_remembered(device.store, device.clock):
            outcome = await _enroller(config, device).activate(order)
    await _tell_agent(config)
    return outcome


def request_licence(config: AgentConfig) -> bytes:
    """What a device without network asks for; see `Enroller.licence_request`."""
    with open_device(config) as device:
        return _enroller(config, device).licence_request()


async def adopt_licence(config: AgentConfig, untrusted_file: bytes) -> ActivationOutcome:
    """Activate with a licence file, and tell a running agent; see `Enroller.adopt_licence`."""
    with open_device(config) as device:
        outcome = _enroller(config, device).adopt_licence(untrusted_file)
    await _tell_agent(config)
    return outcome


def _enroller(config: AgentConfig, device: Device) -> Enroller:
    return Enroller(device.store, device.clock, config.locations.device_key, read_system_facts(), app_version())


async def deactivate_device(config: AgentConfig, reason: str, *, local_only: bool) -> str:
    """Give the seat back, and tell a running agent; returns the device's id there.

    Raises:
        BucklerError: `NOT_ACTIVATED`, or the control plane could not be reached.
    """
    with open_device(config) as device:
        enrolment = device.keeper.enrolment
        if enrolment is None:
            raise not_activated()
        if local_only:
            device.keeper.forget()
        else:
            report = reporter(board_without_service(device))
            link = ControlLink(config.link, device.keeper, device.clock, device.randomness, report)
            await link.deactivate(reason)
    await _tell_agent(config)
    return enrolment.device_id


async def steer_scans(config: AgentConfig, action: ScanAction) -> tuple[StatusField, ...]:
    """Do something about the running agent's scheduled scans, and tell how they stand.

    Raises:
        BucklerError: `AGENT_NOT_RUNNING`, `NOT_PERMITTED`, `NO_SCAN_TO_CANCEL`.
    """
    socket = config.locations.local_api.control_socket
    if not agent_answers(socket):
        raise BucklerError(
            "AGENT_NOT_RUNNING",
            "no agent runs here, and scheduled scans are the agent's work",
            next_step="start it with `buckler run`, or scan now with `buckler scan --quick`",
            exit_status=ExitStatus.ENVIRONMENT,
        )
    async with remote_actions(socket) as actions:
        return await actions.steer_scans(action)


async def read_status(config: AgentConfig) -> tuple[StatusField, ...]:
    """The status: from the running agent if there is one, else from what lies on disk."""
    for socket in config.locations.status_sockets:
        if agent_answers(socket):
            return await ask_status(socket)
    with open_device(config) as device:
        return await board_without_service(device).fields()


async def _tell_agent(config: AgentConfig) -> None:
    socket = config.locations.local_api.control_socket
    if agent_answers(socket):
        async with remote_actions(socket) as actions:
            await actions.reload_enrolment()
