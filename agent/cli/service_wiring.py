"""What `buckler service` is given: the supervisor of this system, this program, the data folder, the running agent."""

import asyncio
import time
from typing import TYPE_CHECKING

from agent.cli.asking import settings_of
from agent.cli.invocation import Common
from agent.domain.quarantine import CaptureState

if TYPE_CHECKING:
    from agent.config import AgentConfig
    from agent.service.desk import ServiceDesk
    from agent.service.remains import Held, Remains

#: Not lost yet, and nowhere else.
_HELD = frozenset({CaptureState.PLANNED, CaptureState.CAPTURED, CaptureState.STORED, CaptureState.DONE})


def open_desk(common: Common) -> "ServiceDesk":
    """The desk, for the service of the configuration that the common options point to."""
    from agent.platform.program import program_path, program_risk
    from agent.platform.services.supervisor import service_supervisor
    from agent.service.desk import DeskParts, ServiceDesk

    config = settings_of(common)
    options = _options(common)
    return ServiceDesk(
        DeskParts(
            supervisor=service_supervisor(),
            command=(str(program_path()), "run", *options),
            own_settings=bool(options),
            program_risk=program_risk,
            proof=lambda: _proof(config),
            pause=time.sleep,
        )
    )


def _options(common: Common) -> tuple[str, ...]:
    """What was said on the command line goes into the service's own."""
    data_dir = ("--data-dir", str(common.data_dir.absolute())) if common.data_dir else ()
    config = ("--config", str(common.config.absolute())) if common.config else ()
    return (*data_dir, *config)


def _proof(config: "AgentConfig") -> str:
    from agent.local_api.client import agent_answers
    from agent.requests import read_status

    if not agent_answers(config.locations.local_api.status_socket):
        return ""
    fields = {field.name: field for field in asyncio.run(read_status(config))}
    if fields["real_time_protection_proven_at"].value is None:
        return ""
    return f"protected roots={fields['watched_roots'].text()} source={fields['real_time_protection_subsystem'].text()}"


def remains_of(common: Common) -> "Remains":
    """The data folder that the common options point to."""
    from agent.service.data_folder import DataFolder

    config = settings_of(common)
    return DataFolder(config.locations.data_dir, config.locations.lock, lambda: _held(config))


def _held(config: "AgentConfig") -> "Held":
    from agent.device import open_device
    from agent.service.remains import Held

    with open_device(config) as device, device.store.transaction() as tables:
        return Held(len(tables.journal.entries(_HELD)), tables.journal.retained().size_bytes)
