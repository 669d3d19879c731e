from dataclasses import replace

import pytest

from agent.support.checks.contact import look
from agent.support.checkup import Fixer
from agent.support.surroundings import AgentSeen, Once
from tests.unit.agent.support.test_doctor import AROUND


@pytest.mark.parametrize(
    ("told", "next_step"),
    [
        ({"last_contact_next_step": "Ask the administrator"}, "Ask the administrator"),
        # An agent from before it said so.
        ({}, "run `buckler activate` again: this device keeps its identity"),
    ],
)
def test_a_device_that_is_refused_is_told_what_the_control_plane_advises(told: dict[str, str], next_step: str) -> None:
    fields = {"last_contact_error": "DEVICE_REVOKED: this device's identity has been revoked", **told}
    around = replace(AROUND, agent=Once(lambda: AgentSeen(running=True, fields=fields)))
    result = look(around)
    assert (result.code, result.fixer, result.fixable) == ("DEVICE_REVOKED", Fixer.OWNER, False)
    assert result.next_step == next_step


def test_a_device_that_the_control_plane_does_not_know_is_for_its_owner_and_an_outage_for_the_operator() -> None:
    def fixer(error: str) -> Fixer | None:
        around = replace(AROUND, agent=Once(lambda: AgentSeen(running=True, fields={"last_contact_error": error})))
        return look(around).fixer

    assert fixer("DEVICE_NOT_FOUND: there is no such device in your organisation") is Fixer.OWNER
    assert fixer("SERVER_UNREACHABLE: nobody answers") is Fixer.OPERATOR
