"""The short way to a remembered answer says what the long way says, at every moment until it ends."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.devices.check_ins.quiet import Known, Said, quiet_contact, same_again, turn_of
from controlplane.devices.fleet.standing import condition_of
from controlplane.devices.identity.lineage import Shown
from controlplane.devices.model import EVENTS_LOST_SHOWN_FOR, SIGNATURES_OLD_AFTER, DeviceReport, HealthIssue
from tests.fakes.clock import SOME_MONDAY
from tests.unit.controlplane.devices.check_ins.test_recall import TOLD
from tests.unit.controlplane.devices.test_clones import REPORT

SHOWN = Shown(3, bytes(16))
AGES = st.timedeltas(timedelta(0), EVENTS_LOST_SHOWN_FOR + SIGNATURES_OLD_AFTER)
REPORTS = st.builds(
    replace,
    st.just(REPORT),
    real_time_enabled=st.booleans(),
    proven_at=st.none() | st.just(SOME_MONDAY),
    health_issues=st.sampled_from([(), (HealthIssue("root_unreadable", "one"),)]),
    signatures_made_at=st.none() | AGES.map(lambda age: SOME_MONDAY - age),
    events_lost=st.sampled_from([0, 1]),
    raw=st.sampled_from([b"", b"\x01"]),
)


@given(report=REPORTS, lost=st.none() | AGES, later=st.timedeltas(timedelta(0), timedelta(days=9)), other=REPORTS)
def test_the_same_words_mean_the_same_until_their_turn(
    report: DeviceReport, lost: timedelta | None, later: timedelta, other: DeviceReport
) -> None:
    lost_at = None if lost is None else SOME_MONDAY - lost
    before = TOLD.known.status
    assert before is not None
    status = replace(before, report=report, events_lost_at=lost_at)
    known = Known(TOLD.known.device, status, 1, condition_of(status, SOME_MONDAY))
    turn = turn_of(known, report, SOME_MONDAY)
    until = SOME_MONDAY + timedelta(days=365) if turn is None else turn
    told = replace(TOLD, known=known, report=report, until=until)
    now = SOME_MONDAY + later
    for heard in (report, other):
        contact = same_again(told, b"key", Said(b"", 1, ()), heard, SHOWN, now)
        expected = quiet_contact(known, heard, 1, SHOWN, now) if now < until else None
        assert contact == expected
        assert (contact is not None) or heard is other or now >= until


def test_what_the_answer_rests_on_is_asked_for_every_time() -> None:
    told, same = TOLD, Said(b"", 1, ())
    for key, said, shown, now in (
        (b"other", same, SHOWN, told.at),
        (b"key", replace(same, policy=("etag",)), SHOWN, told.at),
        (b"key", replace(same, trusted_serial=2), SHOWN, told.at),
        (b"key", same, None, told.at),
        (b"key", same, SHOWN, told.until),
        (b"key", same, SHOWN, told.at - timedelta(microseconds=1)),
    ):
        assert same_again(told, key, said, REPORT, shown, now) is None
    assert same_again(told, b"key", same, REPORT, SHOWN, told.at) is not None
