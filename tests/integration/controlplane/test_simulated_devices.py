"""The devices of the benchmarks speak as agents do, and what is counted afterwards can be wrong."""

from collections import Counter
from pathlib import Path

from sqlalchemy import delete, update

from benchmarks.parts.fleet_ground import SimulatedDevice
from benchmarks.simulator.device import LightDevice, Pace, World
from benchmarks.simulator.faults import Faults
from benchmarks.simulator.fleet import alive, incidents
from benchmarks.simulator.recount import commands_found, detections_found
from benchmarks.simulator.tally import Tally
from controlplane.commands.tables import commands
from controlplane.config import read_config
from controlplane.detections.tables import detections
from controlplane.storage.database import Database
from tests.fakes.waiting import until
from tests.integration.controlplane.served import Served, served_control_plane
from wire.v1 import command_pb2

HASTY = Faults(answer_lost=0.3, twice=0.5)
PACE = Pace(check_in_s=0.2, retry_s=0.01, longest_retry_s=0.05, batch=7)


async def simulated(served: Served, faults: Faults, tally: Tally) -> LightDevice:
    activated = await served.activate()
    answer = activated.activated
    identity = SimulatedDevice(answer.device_id, activated.key.pem, answer.device_certificate_pem)
    return LightDevice(identity, World([str(served.mtls)], served.authorities, tally, faults, PACE), seed="1")


async def test_hasty_devices_leave_everything_exactly_once_and_a_recount_sees_if_not(tmp_path: Path) -> None:
    async with served_control_plane(tmp_path) as served:
        tally = Tally()
        device = await simulated(served, HASTY, tally)
        found = incidents(device, 60)
        device.find(found)
        person = await served.sign_in()
        for number in range(5):
            request = command_pb2.RequestCommandRequest(
                device_id=device.identity.device_id,
                kind="scan",
                arguments={"what": "quick"},
                idempotency_key=f"simulated-{number}",
            )
            await served.commands.RequestCommand(request, metadata=person)
        async with alive([device]):
            await until(lambda: device.memory.is_settled and len(device.memory.ran) == 5, timeout_s=120)
        assert tally.mistakes == 0

        org_id, made = served.customer.org_id, {incident.uuid for incident in found}
        database = Database(read_config(served.data_dir.path, {}).database_url)
        wanted = {"commands", "detections", "commands succeeded", "commands failed"}

        async def odd(ran: Counter[str], made: set[bytes]) -> set[str]:
            async with database.reading() as connection:
                values = await commands_found(connection, org_id, ran)
                values |= await detections_found(connection, org_id, made)
            return {name for name, value in values.items() if value and name not in wanted}

        assert await odd(device.memory.ran, made) == set()
        assert await odd(device.memory.ran + device.memory.ran, made) == {"commands that were run and not exactly once"}
        assert await odd(device.memory.ran, made | {b"other"}) == {"detections lost"}
        async with database.transaction() as uow:
            await uow.connection.execute(delete(detections).where(detections.c.uuid == found[0].uuid))
            await uow.connection.execute(update(commands).values(state="pending"))
        assert await odd(device.memory.ran, made) == {
            "detections lost",
            "incidents that count otherwise",
            "commands pending",
            "commands without a final state",
            "commands that were run and say otherwise",
        }
        await database.close()
