"""When a device asks for another certificate; that it gets one is in tests/contract/test_link.py."""

from datetime import timedelta
from pathlib import Path

import pytest

from agent.control.enrolment.renewal import NOT_AGAIN_FOR, CertificateRenewal
from agent.domain.errors import BucklerError, ExitStatus
from tests.contract.test_activation import KEY
from tests.fakes.control_plane import FakeControlPlane, serving
from tests.fakes.device import TestDevice


def _failed(code: str, **facts: str) -> BucklerError:
    return BucklerError(code, "m", next_step="n", exit_status=ExitStatus.UNREACHABLE, facts=facts)


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (_failed("CERTIFICATE_EXPIRED"), 1),
        (_failed("SERVER_BUSY", cause="silent"), 1),
        (_failed("SERVER_BUSY", retry_after_s="3"), 0),
        (_failed("SERVER_UNREACHABLE"), 0),
        (_failed("DEVICE_REVOKED"), 0),
    ],
)
async def test_only_what_the_certificate_may_be_the_reason_of(tmp_path: Path, error: BucklerError, asked: int) -> None:
    device = TestDevice(tmp_path)
    plane = FakeControlPlane(keys={KEY: ""}, now=device.clock.now())
    async with serving(plane):
        await device.activate(plane, KEY)
        renewal = CertificateRenewal(device.clock)
        keeper = device.keeper()
        renewed = await renewal.attempt(error, keeper.enrolment, keeper.identity())
        assert (renewed is not None, plane.renewals) == (bool(asked), asked)


async def test_a_server_that_is_only_busy_is_not_asked_again_and_again(tmp_path: Path) -> None:
    device = TestDevice(tmp_path)
    plane = FakeControlPlane(keys={KEY: ""}, now=device.clock.now())
    async with serving(plane):
        await device.activate(plane, KEY)
        keeper, renewal = device.keeper(), CertificateRenewal(device.clock)
        for wait, asked in ((timedelta(0), 1), (NOT_AGAIN_FOR - timedelta(seconds=1), 1), (timedelta(seconds=1), 2)):
            device.clock.advance(wait)
            await renewal.attempt(_failed("SERVER_BUSY", cause="silent"), keeper.enrolment, keeper.identity())
            assert plane.renewals == asked
