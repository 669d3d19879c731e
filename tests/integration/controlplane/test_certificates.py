"""A real agent and a real server, while issuers of certificates are replaced beneath them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from agent.control.enrolment.enroller import ActivationOrder
from agent.control.link.settings import LinkSettings
from controlplane.app import authority_root_file, certificate_authority
from tests.fakes.device import TestDevice
from tests.fakes.waiting import until
from tests.integration.controlplane.served import Served, served_control_plane

QUICK = LinkSettings(first_retry_s=0.01, longest_retry_s=0.05, refused_retry_s=0.05)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with served_control_plane(tmp_path) as running:
        yield running


async def test_a_device_goes_on_through_a_rotation_and_comes_back_by_itself_after_a_revocation(
    served: Served, tmp_path: Path
) -> None:
    device = TestDevice(tmp_path)
    order = ActivationOrder(served.customer.activation_key, str(served.tls), served.authorities)
    outcome = await device.enroller().activate(order)
    keeper = device.keeper()
    link = device.link(keeper, QUICK)
    await link.check_in()

    def issuer() -> str:
        assert keeper.enrolment is not None
        return x509.load_pem_x509_certificate(keeper.enrolment.certificate_pem).issuer.rfc4514_string()

    first, ceremony = issuer(), certificate_authority(served.data_dir.keys)
    root = tmp_path / "root"
    authority_root_file(served.data_dir.keys).rename(root)
    ceremony.rotate(root, timedelta(0))
    await link.close()
    await link.check_in()
    assert issuer() == first

    ceremony.revoke(ceremony.issuers.devices[0].name, root)
    await link.close()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(link.run())
        await until(lambda: issuer() != first and link.reachable, timeout_s=60)
        running.cancel()
    assert keeper.enrolment is not None
    assert keeper.enrolment.device_id == outcome.enrolment.device_id
