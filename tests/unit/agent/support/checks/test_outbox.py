from dataclasses import replace

import pytest

from agent.support.checks.outbox import look
from agent.support.surroundings import AgentSeen, DeviceSeen, Once
from tests.unit.agent.support.test_doctor import AROUND


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"outbox_error": "NOTHING_ACCEPTED: it takes none"}, "NOTHING_ACCEPTED"),
        # The contact has the same trouble, and is told of by itself.
        ({"outbox_error": "SERVER_UNREACHABLE: no", "last_contact_error": "SERVER_UNREACHABLE: no"}, ""),
        ({"outbox_error": "NOT_ENROLLED: there is nobody"}, ""),
        ({}, ""),
    ],
)
def test_reports_that_fail_while_the_control_plane_is_reached_are_told(fields: dict[str, str], code: str) -> None:
    told = {**fields, "outbox_next_step": "tell the admin"}
    around = replace(
        AROUND,
        device=Once(lambda: DeviceSeen(known=True, pending=3)),
        agent=Once(lambda: AgentSeen(running=True, fields=told)),
    )
    result = look(around)
    assert (result.code, result.next_step) == ((code, "tell the admin") if code else ("OK", ""))
