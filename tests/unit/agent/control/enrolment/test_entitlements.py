"""The keeper, where it does not need a server."""

from datetime import timedelta
from pathlib import Path

import pytest

from agent.control.enrolment.entitlement_verifier import read_claims
from agent.domain.entitlement import AccessLevel, EntitlementError, EntitlementRefusal
from agent.domain.ports import Enrolment, PinnedKey, TrustedKeys
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.device import TestDevice

PIN = PinnedKey("k1", b"1" * 32, SOME_MONDAY, None)


def enrolment(signed_claims: bytes = b"\xff") -> Enrolment:
    return Enrolment("a:1", "a:2", "dev", "org", b"", b"", signed_claims, b"sig", "k1", TrustedKeys(b"", 0, (PIN,)), 60)


def test_a_device_that_was_never_activated_is_unlicensed(tmp_path: Path) -> None:
    keeper = TestDevice(tmp_path).keeper()
    assert keeper.access().level is AccessLevel.UNLICENSED
    assert keeper.issues == ()


def test_claims_changed_on_disk_leave_the_floor_and_say_so(tmp_path: Path) -> None:
    device = TestDevice(tmp_path)
    with device.store.transaction() as tables:
        tables.enrolment.put(enrolment())
    keeper = device.keeper()
    assert (keeper.access().level, keeper.access().reason) == (AccessLevel.LIMITED, "ENTITLEMENT_UNREADABLE")
    assert [issue.code for issue in keeper.issues] == ["entitlement_refused"]


def test_a_damaged_device_key_never_stops_the_agent(tmp_path: Path) -> None:
    device = TestDevice(tmp_path)
    device.key_file.write_bytes(b"damaged")
    with device.store.transaction() as tables:
        tables.enrolment.put(enrolment())
    assert [issue.code for issue in device.keeper().issues] == ["device_key_unusable"]


def test_the_mark_only_moves_up_by_itself_and_outlives_a_restart(tmp_path: Path) -> None:
    device = TestDevice(tmp_path)
    keeper = device.keeper()
    keeper.note_time()
    start = device.clock.now()
    device.clock.set_wall(start - timedelta(days=3))
    keeper.note_time()
    assert keeper.now() == start
    assert device.keeper().now() == start
    keeper.note_time(newest_event=start + timedelta(hours=1))
    assert keeper.now() == start + timedelta(hours=1)


@pytest.mark.parametrize("untrusted", [b"\xff", b"\0" * 70_000, b""])
def test_bytes_that_are_no_claims_are_malformed(untrusted: bytes) -> None:
    with pytest.raises(EntitlementError) as refused:
        read_claims(untrusted)
    assert refused.value.refusal is EntitlementRefusal.MALFORMED
