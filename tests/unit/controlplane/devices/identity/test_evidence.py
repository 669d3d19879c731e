"""Whether an unknown key is a machine that we know."""

from datetime import timedelta

import pytest

from controlplane.devices.identity.evidence import (
    QUIET_BEFORE_REBIND,
    REBINDS_ALLOWED,
    Resemblance,
    Twin,
    is_match,
    resemblance,
)
from controlplane.devices.model import FingerprintComponent
from tests.fakes.clock import SOME_MONDAY as NOW


def evidence(**facts: str) -> set[FingerprintComponent]:
    """`mac_address="a b"` are two facts of one kind."""
    return {
        FingerprintComponent(kind, value.encode().ljust(32))
        for kind, values in facts.items()
        for value in values.split()
    }


WHOLE = evidence(machine_id="m", board_serial="b", disk_serial="d", mac_address="1 2")


@pytest.mark.parametrize(
    ("shown", "same"),
    [
        (WHOLE, True),
        # Re-installed: another machine id.
        (evidence(machine_id="other", board_serial="b", disk_serial="d", mac_address="1 2"), True),
        # Another disk, and a new network card beside the old one.
        (evidence(machine_id="m", board_serial="b", disk_serial="new", mac_address="2 3"), True),
        (evidence(machine_id="other", board_serial="b", disk_serial="d", mac_address="9"), True),
        # A copy of the image on another machine.
        (evidence(machine_id="m", board_serial="x", disk_serial="y", mac_address="z"), False),
        # Two network cards are one kind of fact.
        (evidence(mac_address="1 2"), False),
        (set(), False),
    ],
)
def test_most_kinds_of_fact_must_agree(shown: set[FingerprintComponent], *, same: bool) -> None:
    assert is_match(WHOLE, shown) is same


def test_one_fact_never_proves_a_machine_even_when_it_is_all_there_is() -> None:
    only = evidence(machine_id="m")
    assert not is_match(only, only)
    two = evidence(machine_id="m", mac_address="1")
    assert is_match(two, two)


def test_of_five_kinds_three_must_agree() -> None:
    known = evidence(a="1", b="1", c="1", d="1", e="1")
    assert is_match(known, evidence(a="1", b="1", c="1"))
    assert not is_match(known, evidence(a="1", b="1"))


def test_a_device_in_contact_is_copied_and_one_that_is_quiet_came_back() -> None:
    quiet = Twin(NOW - QUIET_BEFORE_REBIND, 0)
    assert resemblance(quiet, NOW) is Resemblance.SAME_MACHINE
    assert resemblance(quiet, NOW - timedelta(microseconds=1)) is Resemblance.STILL_THERE


def test_a_machine_that_comes_back_too_often_is_not_believed() -> None:
    assert resemblance(Twin(NOW - timedelta(days=1), REBINDS_ALLOWED), NOW) is Resemblance.TOO_OFTEN
