"""What an activation promises, against a control plane over real TLS."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.control.enrolment.enroller import unfinished_attempt
from agent.domain.entitlement import AccessLevel
from agent.domain.errors import BucklerError, ExitStatus
from tests.fakes.control_plane import Authority, FakeControlPlane, serving
from tests.fakes.device import TestDevice
from wire.activation_key import format_activation_key, generate_activation_key
from wire.v1.enrollment_pb2 import ActivateResponse

KEY = format_activation_key(generate_activation_key(b"eleven byte"))
OTHER_KEY = format_activation_key(generate_activation_key(b"twelve byte"))


@pytest.fixture
async def plane(device: TestDevice) -> AsyncIterator[FakeControlPlane]:
    async with serving(FakeControlPlane(keys={KEY: ""}, now=device.clock.now())) as plane:
        yield plane


@pytest.fixture
def device(tmp_path: Path) -> TestDevice:
    return TestDevice(tmp_path)


async def refusal(device: TestDevice, plane: FakeControlPlane, key: str = KEY, **changes: str | bytes) -> BucklerError:
    with pytest.raises(BucklerError) as refused:
        await device.activate(plane, key, new_key=False, **changes)
    assert not refused.value.message.endswith(".")
    assert refused.value.next_step
    return refused.value


async def test_an_activated_device_holds_a_seat_and_trusts_a_verified_entitlement(
    plane: FakeControlPlane, device: TestDevice
) -> None:
    outcome = await device.activate(plane, KEY)
    assert not outcome.already_held
    assert outcome.claims.plan_name == "Home, 3 devices"
    keeper = device.keeper()
    assert keeper.access().level is AccessLevel.FULL
    assert keeper.claims == outcome.claims
    assert keeper.enrolment is not None
    assert keeper.enrolment.device_server.startswith("127.0.0.1:")
    assert unfinished_attempt(device.store) is None


async def test_a_copied_machine_becomes_a_device_of_its_own(plane: FakeControlPlane, device: TestDevice) -> None:
    first = await device.activate(plane, KEY)
    copied = await device.activate(plane, KEY, new_key=True)
    assert copied.claims.device_id != first.claims.device_id
    assert device.keeper().issues == ()
    assert len(plane.seats) == 2


async def test_a_new_key_that_got_no_seat_is_given_up_again(plane: FakeControlPlane, device: TestDevice) -> None:
    first = await device.activate(plane, KEY)
    plane.seat_limit = 1
    with pytest.raises(BucklerError):
        await device.activate(plane, KEY, new_key=True)
    assert (await device.activate(plane, KEY)).claims.device_id == first.claims.device_id


async def test_a_lower_case_key_with_spaces_is_the_same_key(plane: FakeControlPlane, device: TestDevice) -> None:
    outcome = await device.activate(plane, f"  {KEY.lower().replace('-', ' ')}\n")
    assert outcome.claims.seat_id


async def test_a_mistyped_key_is_caught_before_anything_is_sent(device: TestDevice) -> None:
    nowhere = FakeControlPlane(address="host.invalid:1")
    swapped = KEY[:5] + ("0" if KEY[5] != "0" else "1") + KEY[6:]
    refused = await refusal(device, nowhere, swapped)
    assert (refused.code, refused.exit_status) == ("KEY_MISTYPED", ExitStatus.BAD_INPUT)
    assert refused.facts["group"] == "1"
    assert not device.key_file.exists()


@pytest.mark.parametrize("code", ["KEY_REVOKED", "KEY_USED_UP", "SUBSCRIPTION_ENDED"])
async def test_a_refused_key_is_told_with_the_servers_own_code(
    plane: FakeControlPlane, device: TestDevice, code: str
) -> None:
    plane.keys[KEY] = code
    refused = await refusal(device, plane)
    assert (refused.code, refused.exit_status) == (code, ExitStatus.NEGATIVE)
    assert unfinished_attempt(device.store) is None


async def test_an_unknown_key_is_refused(plane: FakeControlPlane, device: TestDevice) -> None:
    assert (await refusal(device, plane, OTHER_KEY)).code == "KEY_UNKNOWN"
    assert device.keeper().enrolment is None


async def test_a_full_plan_names_who_holds_the_seats(plane: FakeControlPlane, tmp_path: Path) -> None:
    plane.seat_limit = 1
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    held = await TestDevice(first, name="office-pc").activate(plane, KEY)
    refused = await refusal(TestDevice(second), plane)
    assert (refused.code, refused.exit_status) == ("SEAT_LIMIT", ExitStatus.NEGATIVE)
    assert f"office-pc ({held.claims.device_id})" in refused.message
    assert refused.facts["seat_holder_1"].startswith(held.claims.device_id)


async def test_a_lost_answer_is_asked_for_again_and_costs_no_second_seat(
    plane: FakeControlPlane, device: TestDevice
) -> None:
    plane.lose_answers = 1
    refused = await refusal(device, plane)
    assert refused.exit_status is ExitStatus.UNREACHABLE
    attempt = unfinished_attempt(device.store)
    assert attempt is not None
    assert attempt[0] == plane.address
    assert len(plane.seats) == 1
    outcome = await device.activate(plane, KEY)
    assert [outcome.claims.device_id] == list(plane.seats)


async def test_a_second_activation_at_the_same_server_says_that_it_holds_the_seat_already(
    plane: FakeControlPlane, device: TestDevice
) -> None:
    first = await device.activate(plane, KEY)
    second = await device.activate(plane, KEY)
    assert second.already_held
    assert second.claims == first.claims
    assert len(plane.seats) == 1


async def test_an_activation_at_a_second_server_is_refused(plane: FakeControlPlane, device: TestDevice) -> None:
    await device.activate(plane, KEY)
    refused = await refusal(device, plane, server="other.example.com:8443")
    assert (refused.code, refused.exit_status) == ("ALREADY_ACTIVATED", ExitStatus.NEGATIVE)
    assert "buckler deactivate" in refused.next_step


async def test_a_name_that_does_not_resolve_is_told_apart(plane: FakeControlPlane, device: TestDevice) -> None:
    refused = await refusal(device, plane, server="host.invalid:8443")
    assert (refused.code, refused.exit_status) == ("SERVER_UNKNOWN", ExitStatus.UNREACHABLE)


async def test_a_closed_port_is_told_apart(device: TestDevice) -> None:
    async with serving(FakeControlPlane(keys={KEY: ""})) as plane:
        pass
    assert (await refusal(device, plane)).code == "SERVER_UNREACHABLE"


async def test_an_unknown_authority_is_told_apart(plane: FakeControlPlane, device: TestDevice) -> None:
    refused = await refusal(device, plane, authorities_pem=Authority().pem)
    assert (refused.code, refused.facts["cause"]) == ("SERVER_NOT_TRUSTED", "unknown_authority")
    assert not plane.seats


async def test_an_expired_certificate_is_told_apart(device: TestDevice) -> None:
    plane = FakeControlPlane(keys={KEY: ""})
    old = plane.authority.server_certificate(since=timedelta(days=20), until=timedelta(days=-1))
    async with serving(plane, certificate=old):
        refused = await refusal(device, plane)
    assert (refused.code, refused.facts["cause"]) == ("SERVER_NOT_TRUSTED", "expired")


async def test_a_certificate_for_another_name_is_told_apart(device: TestDevice) -> None:
    plane = FakeControlPlane(keys={KEY: ""})
    async with serving(plane, certificate=plane.authority.server_certificate(name="elsewhere.example.com")):
        refused = await refusal(device, plane)
    assert (refused.code, refused.facts["cause"]) == ("SERVER_NOT_TRUSTED", "other_name")


async def test_a_port_that_asks_for_a_certificate_is_taken_for_that_of_devices(
    plane: FakeControlPlane, device: TestDevice
) -> None:
    refused = await refusal(device, plane, server=f"127.0.0.1{plane.device_address}")
    assert (refused.code, refused.facts["cause"]) == ("SERVER_BUSY", "silent")
    assert "port" in refused.next_step


async def test_a_busy_server_says_when_to_come_back(plane: FakeControlPlane, device: TestDevice) -> None:
    plane.busy = True
    refused = await refusal(device, plane)
    assert (refused.code, refused.exit_status) == ("SERVER_BUSY", ExitStatus.UNREACHABLE)
    assert refused.facts["retry_after_s"] == "7"


async def test_an_answer_signed_by_a_key_it_does_not_announce_changes_nothing(
    plane: FakeControlPlane, device: TestDevice
) -> None:
    plane.kid = "key-9"
    refused = await refusal(device, plane)
    assert (refused.code, refused.facts["cause"]) == ("ENTITLEMENT_REFUSED", "unknown_key")
    assert device.keeper().enrolment is None


async def test_a_certificate_for_another_key_changes_nothing(device: TestDevice, tmp_path: Path) -> None:
    class Mixed(FakeControlPlane):
        async def Activate(self, request, context) -> ActivateResponse:  # type: ignore[no-untyped-def] # noqa: ANN001, N802
            answer = await super().Activate(request, context)
            answer.device_certificate_pem = self.authority.server_certificate()[1]
            return answer

    async with serving(Mixed(keys={KEY: ""})) as plane:
        refused = await refusal(device, plane)
    assert refused.facts["cause"] == "certificate_of_another_key"
    assert device.keeper().enrolment is None


async def test_a_device_whose_clock_is_slow_can_be_activated(plane: FakeControlPlane, device: TestDevice) -> None:
    device.clock.set_wall(plane.now - timedelta(minutes=20))
    outcome = await device.activate(plane, KEY)
    assert device.keeper().claims == outcome.claims
