"""What the link promises once a device is activated, over real mutual TLS."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.boards import licence_facts
from agent.control.command_runner import CommandRunner
from agent.control.link import ControlLink
from agent.control.link_settings import LinkSettings
from agent.domain.commands import CommandOutcome
from agent.domain.entitlement import AccessLevel
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.facts import Finding, Severity
from agent.domain.incident import Incident, IncidentAction, Origin
from agent.domain.ports import BundlePiece, UplinkError
from tests.contract.test_activation import KEY
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.commands import Worker
from tests.fakes.control_plane import FakeControlPlane, serving
from tests.fakes.device import TestDevice
from tests.fakes.waiting import until
from wire.instants import to_us
from wire.v1 import command_pb2, common_pb2

if TYPE_CHECKING:
    from agent.device import Device

QUICK = LinkSettings(first_retry_s=0.01, longest_retry_s=0.05, refused_retry_s=0.05)


def incident(number: int) -> Incident:
    return Incident(
        uuid=UUID(int=number),
        detected_at=SOME_MONDAY + timedelta(seconds=number),
        path="/home/a/\udcff.com",
        sha256="ab" * 32,
        size_bytes=68,
        findings=(Finding("Eicar", "test", Severity.HIGH, ("a.zip", "menu\udce9")),),
        action=IncidentAction.QUARANTINED,
        action_detail="",
        origin=Origin.REAL_TIME,
        engine="yara 4.5.4",
        signatures_version="1",
    )


@dataclass
class Enrolled:
    """An activated device with its link, and the server."""

    plane: FakeControlPlane
    device: TestDevice
    link: ControlLink

    def __post_init__(self) -> None:
        self.keeper = self.link._keeper


@pytest.fixture
async def enrolled(tmp_path: Path) -> AsyncIterator[Enrolled]:
    device = TestDevice(tmp_path)
    plane = FakeControlPlane(keys={KEY: ""}, now=device.clock.now())
    async with serving(plane):
        await device.activate(plane, KEY)
        link = device.link(device.keeper(), QUICK)
        yield Enrolled(plane, device, link)
        await link.close()


def _error_code(link: ControlLink) -> str:
    return link.last_error.code if link.last_error else ""


async def test_a_check_in_tells_the_state_and_returns_the_wished_interval(enrolled: Enrolled) -> None:
    enrolled.plane.check_in_interval_s = 77
    assert await enrolled.link.check_in() == 77
    [heard] = enrolled.plane.check_ins
    assert heard.status.real_time_protection_subsystem == "fanotify"
    assert heard.entitlement_serial == 1
    assert enrolled.plane.refreshes == 0


async def test_while_its_stream_is_relied_on_a_device_checks_in_when_there_is_something_to_tell(
    enrolled: Enrolled,
) -> None:
    plane, device = enrolled.plane, enrolled.device
    plane.relies_on_stream = True
    link = device.link(device.keeper(), LinkSettings(look_s=0.01))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(link.run())
        await until(lambda: device.asked > 5)
        device.state = replace(device.state, queue_depth=9)
        await until(lambda: device.asked > 10)
        assert len(plane.check_ins) == 1
        device.state = replace(device.state, real_time_enabled=False)
        await until(lambda: len(plane.check_ins) == 2)
        link.hurry()
        await until(lambda: len(plane.check_ins) == 3)
        plane.relies_on_stream = False
        link.wake()
        await until(lambda: len(plane.check_ins) == 4)
        looked = device.asked
        link.hurry()
        running.cancel()
    assert device.asked == looked
    await link.close()


async def test_a_bundle_arrives_piece_by_piece(enrolled: Enrolled) -> None:
    content = b"abcdef"
    digest = hashlib.sha256(content).digest()
    first, again, last = (
        BundlePiece("cmd_1", 6, digest, offset, content[offset:end]) for offset, end in ((0, 4), (0, 4), (4, 6))
    )
    assert await enrolled.link.send_piece(first) == (4, False)
    assert await enrolled.link.send_piece(again) == (4, False)
    assert await enrolled.link.send_piece(last) == (6, True)
    assert enrolled.plane.bundles == {"cmd_1": content}


async def test_a_nonce_is_shown_at_the_next_contact_and_outlives_a_restart(enrolled: Enrolled) -> None:
    enrolled.plane.next_nonce = b"first"
    await enrolled.link.check_in()
    # A server that gives none takes none away.
    enrolled.plane.next_nonce = b""
    await enrolled.link.check_in()
    restarted = enrolled.device.link(enrolled.device.keeper(), QUICK)
    await restarted.check_in()
    await restarted.close()
    shown = [(heard.HasField("contact_nonce"), heard.contact_nonce) for heard in enrolled.plane.check_ins]
    assert shown == [(True, b""), (True, b"first"), (True, b"first")]


async def test_a_changed_subscription_reaches_the_device_with_the_next_check_in(enrolled: Enrolled) -> None:
    enrolled.plane.change_access(common_pb2.ACCESS_LEVEL_LIMITED, "SUBSCRIPTION_EXPIRED")
    await enrolled.link.check_in()
    access = enrolled.keeper.access()
    assert (access.level, access.reason) == (AccessLevel.LIMITED, "SUBSCRIPTION_EXPIRED")
    assert enrolled.device.keeper().access() == access, "it outlives a restart"


async def test_a_server_whose_time_jumped_ahead_is_followed(enrolled: Enrolled) -> None:
    enrolled.plane.now += timedelta(days=400)
    enrolled.plane.change_access(common_pb2.ACCESS_LEVEL_LIMITED, "SUBSCRIPTION_EXPIRED")
    await enrolled.link.check_in()
    assert enrolled.keeper.access().reason == "SUBSCRIPTION_EXPIRED"
    enrolled.plane.change_access(common_pb2.ACCESS_LEVEL_FULL, "PAID")
    await enrolled.link.check_in()
    assert enrolled.device.keeper().access().level is AccessLevel.FULL


async def test_an_entitlement_due_for_refresh_is_refreshed_without_being_told(enrolled: Enrolled) -> None:
    enrolled.plane.now += timedelta(hours=13)
    enrolled.device.clock.advance(timedelta(hours=13))
    await enrolled.link.check_in()
    assert enrolled.plane.refreshes == 1
    assert enrolled.keeper.claims is not None
    assert enrolled.keeper.claims.issued_at == enrolled.plane.now


async def test_an_entitlement_that_does_not_verify_leaves_the_old_one_in_force(enrolled: Enrolled) -> None:
    before = enrolled.keeper.claims
    enrolled.plane.change_access(common_pb2.ACCESS_LEVEL_ENDED, "REVOKED")
    enrolled.plane.forged_with = Ed25519PrivateKey.generate()
    with pytest.raises(BucklerError) as refused:
        await enrolled.link.check_in()
    assert (refused.value.code, refused.value.facts["cause"]) == ("ENTITLEMENT_REFUSED", "bad_signature")
    assert enrolled.keeper.claims == before
    assert [issue.code for issue in enrolled.keeper.issues] == ["entitlement_refused"]


async def test_a_signing_key_that_the_root_vouches_for_takes_over(enrolled: Enrolled) -> None:
    enrolled.plane.announced["key-2"] = Ed25519PrivateKey.generate()
    enrolled.plane.key_set_version, enrolled.plane.kid = 2, "key-2"
    await enrolled.link.refresh()
    assert enrolled.keeper.enrolment is not None
    assert enrolled.keeper.enrolment.kid == "key-2"
    assert enrolled.keeper.enrolment.trusted_keys.version == 2
    assert enrolled.device.keeper().claims == enrolled.keeper.claims


async def test_keys_that_changed_while_the_device_was_away_for_30_days_are_no_hurdle(enrolled: Enrolled) -> None:
    enrolled.plane.now += timedelta(days=30)
    enrolled.device.clock.advance(timedelta(days=30))
    assert enrolled.keeper.access().level is AccessLevel.GRACE
    enrolled.plane.announced["key-2"] = Ed25519PrivateKey.generate()
    enrolled.plane.key_set_version, enrolled.plane.kid, enrolled.plane.revoked_kids = 3, "key-2", ["key-1"]
    await enrolled.link.check_in()
    assert enrolled.keeper.access().level is AccessLevel.FULL
    assert enrolled.device.keeper().claims == enrolled.keeper.claims


async def _refused_because(enrolled: Enrolled) -> str:
    before = enrolled.keeper.claims
    with pytest.raises(BucklerError) as refused:
        await enrolled.link.refresh()
    assert refused.value.code == "ENTITLEMENT_REFUSED"
    assert enrolled.keeper.claims == before
    assert enrolled.device.keeper().claims == before, "what was trusted stays in force, also after a restart"
    return refused.value.facts["cause"]


async def test_a_set_of_keys_by_another_root_is_refused_even_from_the_authenticated_server(enrolled: Enrolled) -> None:
    enrolled.plane.root_key = Ed25519PrivateKey.generate()
    assert await _refused_because(enrolled) == "other_root"


async def test_an_older_set_of_keys_is_refused(enrolled: Enrolled) -> None:
    enrolled.plane.key_set_version = 7
    await enrolled.link.refresh()
    enrolled.plane.key_set_version = 6
    assert await _refused_because(enrolled) == "key_set_lower"


async def test_a_revoked_key_signs_nothing_any_more(enrolled: Enrolled) -> None:
    enrolled.plane.revoked_kids, enrolled.plane.key_set_version = ["key-1"], 2
    assert await _refused_because(enrolled) == "revoked_key"


async def test_a_signing_key_outside_the_set_is_refused(enrolled: Enrolled) -> None:
    enrolled.plane.kid = "key-2"
    assert await _refused_because(enrolled) == "unknown_key"


async def test_a_certificate_in_the_last_third_of_its_life_is_replaced(tmp_path: Path) -> None:
    device = TestDevice(tmp_path)
    plane = FakeControlPlane(keys={KEY: ""}, now=device.clock.now(), certificate_life=timedelta(minutes=20))
    async with serving(plane):
        await device.activate(plane, KEY)
        link = device.link(device.keeper(), QUICK)
        await link.check_in()
        assert plane.rotations == 1
        await link.check_in()
        assert plane.rotations == 1, "the new one is good for long"
        await link.close()


async def test_a_device_whose_certificate_ended_proves_its_key_and_goes_on(tmp_path: Path) -> None:
    device = TestDevice(tmp_path)
    plane = FakeControlPlane(keys={KEY: ""}, now=device.clock.now(), certificate_life=timedelta(minutes=-5))
    async with serving(plane):
        await device.activate(plane, KEY)
        link = device.link(device.keeper(), QUICK)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(link.run())
            await until(lambda: bool(plane.check_ins) and _error_code(link) == "")
            running.cancel()
    assert plane.renewals == 1


async def test_a_device_that_the_control_plane_does_not_know_is_not_certified_again(tmp_path: Path) -> None:
    device = TestDevice(tmp_path)
    plane = FakeControlPlane(keys={KEY: ""}, now=device.clock.now(), certificate_life=timedelta(minutes=-5))
    async with serving(plane):
        await device.activate(plane, KEY)
        plane.seats.clear()
        link = device.link(device.keeper(), QUICK)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(link.run())
            await until(lambda: _error_code(link) == "CERTIFICATE_EXPIRED")
            running.cancel()
    assert plane.renewals == 0


async def test_incidents_arrive_once_however_often_they_are_sent(enrolled: Enrolled) -> None:
    batch = [incident(1), incident(2)]
    first = await enrolled.link.report(batch, {})
    second = await enrolled.link.report(batch, {"bulk": 3})
    assert first.accepted == second.accepted == {UUID(int=1), UUID(int=2)}
    assert len(enrolled.plane.incidents) == 2
    stored = enrolled.plane.incidents[UUID(int=1).bytes]
    assert stored.path == b"/home/a/\xff.com"
    assert stored.findings[0].member_path[0] == "a.zip"


async def test_a_rejected_incident_is_named_with_its_reason(enrolled: Enrolled) -> None:
    enrolled.plane.reject.add(UUID(int=2).bytes)
    receipt = await enrolled.link.report([incident(1), incident(2)], {})
    assert receipt.accepted == {UUID(int=1)}
    assert receipt.rejected == {UUID(int=2): "MALFORMED"}


async def test_reporting_without_an_activation_is_a_permanent_failure(tmp_path: Path) -> None:
    device = TestDevice(tmp_path)
    link = device.link(device.keeper())
    with pytest.raises(UplinkError) as failed:
        await link.report([incident(1)], {})
    assert (failed.value.why.code, failed.value.permanent) == ("NOT_ENROLLED", True)


async def test_a_report_to_a_server_that_is_gone_may_be_tried_again(enrolled: Enrolled) -> None:
    enrolled.plane.seats.clear()
    with pytest.raises(UplinkError) as failed:
        await enrolled.link.report([incident(1)], {})
    assert (failed.value.why.code, failed.value.permanent) == ("DEVICE_NOT_FOUND", True)


async def test_a_revoked_device_says_so_goes_on_as_it_was_granted_and_asks_seldom(enrolled: Enrolled) -> None:
    plane, device = enrolled.plane, enrolled.device
    assert enrolled.keeper.enrolment is not None
    plane.revoked.add(enrolled.keeper.enrolment.device_id)
    link = device.link(enrolled.keeper, replace(QUICK, refused_retry_s=LinkSettings().refused_retry_s))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(link.run())
        await until(lambda: _error_code(link) == "DEVICE_REVOKED")
        for _ in range(20):
            link.report_soon()
            await asyncio.sleep(0.01)
        running.cancel()
    assert (plane.refused, plane.check_ins) == (1, [])
    facts = licence_facts(cast("Device", SimpleNamespace(keeper=enrolled.keeper, store=device.store)), link.last_error)
    assert facts.last_error == "DEVICE_REVOKED: this device's identity has been revoked"
    assert facts.next_step == "do this"
    with pytest.raises(UplinkError) as failed:
        await link.report([incident(1)], {})
    assert (failed.value.why.code, failed.value.permanent) == ("DEVICE_REVOKED", True)
    # Nothing is switched off from afar: what was signed holds, and then it is limited as after any long silence.
    assert enrolled.keeper.access().level is AccessLevel.FULL
    device.clock.advance(timedelta(days=60))
    access = enrolled.keeper.access()
    assert (access.level, access.reason) == (AccessLevel.LIMITED, "NO_CONTACT")
    await link.close()


async def test_a_revoked_device_comes_back_as_another_under_a_new_key(enrolled: Enrolled) -> None:
    assert enrolled.keeper.enrolment is not None
    before = enrolled.keeper.enrolment.device_id
    enrolled.plane.revoked.add(before)
    with pytest.raises(BucklerError) as refused:
        await enrolled.link.check_in()
    assert (refused.value.code, refused.value.exit_status) == ("DEVICE_REVOKED", ExitStatus.NEGATIVE)
    await enrolled.device.activate(enrolled.plane, KEY, new_key=True)
    enrolled.keeper.reload()
    assert enrolled.keeper.enrolment.device_id != before
    await enrolled.link.check_in()


async def test_deactivation_gives_the_seat_back_and_keeps_the_key(enrolled: Enrolled) -> None:
    await enrolled.link.deactivate("sold")
    assert not enrolled.plane.seats
    assert enrolled.keeper.enrolment is None
    assert enrolled.keeper.access().level is AccessLevel.UNLICENSED
    assert enrolled.device.key_file.exists()
    with pytest.raises(BucklerError) as refused:
        await enrolled.link.deactivate("again")
    assert refused.value.code == "NOT_ACTIVATED"


async def test_a_deactivation_that_found_nobody_changes_nothing(tmp_path: Path) -> None:
    device = TestDevice(tmp_path)
    plane = FakeControlPlane(keys={KEY: ""}, now=device.clock.now())
    async with serving(plane):
        await device.activate(plane, KEY)
    link = device.link(device.keeper())
    with pytest.raises(BucklerError) as failed:
        await link.deactivate("sold")
    assert (failed.value.code, failed.value.exit_status) == ("SERVER_UNREACHABLE", ExitStatus.UNREACHABLE)
    assert device.keeper().enrolment is not None
    await link.close()


async def test_the_loop_outlives_an_outage_and_wakes_when_told(enrolled: Enrolled) -> None:
    enrolled.plane.busy = True
    async with asyncio.TaskGroup() as group:
        running = group.create_task(enrolled.link.run())
        await until(lambda: _error_code(enrolled.link) == "SERVER_BUSY")
        enrolled.plane.busy = False
        enrolled.link.wake()
        await until(lambda: bool(enrolled.plane.check_ins) and _error_code(enrolled.link) == "")
        running.cancel()
    assert enrolled.keeper.enrolment is not None


async def test_an_enrolment_forgotten_by_another_process_is_not_brought_back(enrolled: Enrolled) -> None:
    with enrolled.device.store.transaction() as tables:
        tables.enrolment.forget()
    await enrolled.link.check_in()
    enrolled.keeper.reload()
    assert enrolled.keeper.enrolment is None


# ------------------------------------------------------------ commands


async def test_a_command_is_fetched_done_and_told_about(enrolled: Enrolled) -> None:
    worker = Worker(outcome=CommandOutcome(result={"path": "/home/\udcff"}))
    worker.release.set()
    runner = CommandRunner(
        enrolled.device.store, [worker], enrolled.keeper.access, enrolled.device.clock, enrolled.link.report_soon
    )
    enrolled.link.attend(runner)
    expires_at_us = to_us(enrolled.device.clock.now() + timedelta(hours=1))
    enrolled.plane.commands.append(
        command_pb2.Command(command_id="cmd_1", kind="work", arguments={"a": "b"}, expires_at_us=expires_at_us)
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(enrolled.link.run()), group.create_task(runner.run())]
        await until(lambda: bool(enrolled.plane.command_reports) and _last_report(enrolled).result["path"] != "")
        # The server has the report before the device has its answer.
        await until(lambda: not runner.reports())
        for task in tasks:
            task.cancel()
    assert _last_report(enrolled).state == command_pb2.COMMAND_STATE_SUCCEEDED
    assert _last_report(enrolled).result["path"] == "/home/\N{REPLACEMENT CHARACTER}"
    assert worker.begun == ["cmd_1"]
    assert runner.reports() == []


def _last_report(enrolled: Enrolled) -> command_pb2.CommandReport:
    return enrolled.plane.command_reports[-1]
