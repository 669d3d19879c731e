"""Lists of codes by which one program judges what another says: each code is one that is really said."""

from collections.abc import Collection
from functools import cache

import pytest

from agent.control.refusals import BUSY
from agent.support.check_list import PLAIN, WAY_CODES
from agent.support.checks.activation import FIXERS
from agent.support.checks.contact import REFUSED_BY_SERVER, REFUSED_HERE
from agent.support.checks.entitlement import PAYMENT
from controlplane.subscriptions.model import AccessReason
from tests.unit.test_exit_status_document import TOP, codes_in


@cache
def said_by(program: str) -> frozenset[str]:
    """Every code that a program refuses with."""
    return frozenset(code for file in (TOP / program).rglob("*.py") for code in codes_in(file))


@pytest.mark.parametrize("codes", [REFUSED_BY_SERVER, BUSY], ids=["refused", "busy"])
def test_what_agents_take_for_the_servers_word_servers_say(codes: Collection[str]) -> None:
    assert set(codes) <= said_by("controlplane")


@pytest.mark.parametrize("codes", [REFUSED_HERE, PLAIN, WAY_CODES], ids=["refused", "plain", "way"])
def test_what_agents_take_for_their_own_word_they_say(codes: Collection[str]) -> None:
    assert set(codes) <= said_by("agent")


def test_refusals_of_an_activation_are_said_by_one_of_both() -> None:
    assert set(FIXERS) <= said_by("agent") | said_by("controlplane")


def test_reasons_for_less_access_are_those_of_subscriptions() -> None:
    assert {reason.value for reason in AccessReason} >= PAYMENT
