"""A server process that activates devices when it is told to, many at once.

    python -m tests.integration.controlplane.licensing.activating_process DATABASE FOLDER

Reads one order per line, `{"key": …, "devices": N, "same": CSR or ""}`, and answers with one line,
`{"seats": […], "refused": […], "entitlements": N}`. Its first line says that it is ready.
"""

import asyncio
import json
import sys
from pathlib import Path

from controlplane.licensing.service import Activated, Activation
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import LINUX, ONE_IMAGE, World
from tests.integration.patient_database import patient_databases
from wire.entitlement_codec import decode_claims


async def _attempt(world: World, raw_key: str, request: bytes) -> Activated | Refusal:
    try:
        return await world.licensing.activate(Activation(raw_key, request, "racer", LINUX, ONE_IMAGE))
    except Refusal as refusal:
        return refusal


async def _race(world: World, raw_key: str, requests: list[bytes]) -> dict[str, object]:
    outcomes = await asyncio.gather(*(_attempt(world, raw_key, request) for request in requests))
    activated = [each for each in outcomes if isinstance(each, Activated)]
    return {
        "seats": [decode_claims(each.entitlement.claims).seat_id for each in activated],
        "refused": [each.reason for each in outcomes if isinstance(each, Refusal)],
        "entitlements": sorted({each.entitlement.claims.hex() for each in activated}),
    }


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _serve(url: str, folder: Path) -> None:
    world = World(Database(url), folder)
    _say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        count = order["devices"]
        same, new = [bytes.fromhex(order["same"])] * count, [DeviceKey().certificate_request() for _ in range(count)]
        _say(json.dumps(await _race(world, order["key"], same if order["same"] else new)))
    await world.database.close()


if __name__ == "__main__":
    with patient_databases():
        asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
