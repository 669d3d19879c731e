import pytest

from agent.domain.errors import ExitStatus
from agent.domain.services import ServiceState, ServiceStatus, exit_reason


def test_an_agent_that_ended_when_told_to_has_no_reason() -> None:
    assert exit_reason(0) == ""


@pytest.mark.parametrize(
    "status",
    [int(ExitStatus.NEGATIVE), int(ExitStatus.BAD_INPUT), int(ExitStatus.UNREACHABLE), int(ExitStatus.ENVIRONMENT), 70],
)
def test_every_status_of_an_agent_is_explained(status: int) -> None:
    assert exit_reason(status).startswith(f"exit status {status} (")


def test_any_other_status_is_told_as_it_is() -> None:
    assert exit_reason(42) == "exit status 42"


@pytest.mark.parametrize("state", list(ServiceState))
def test_what_runs_is_installed(state: ServiceState) -> None:
    status = ServiceStatus("systemd", state=state)
    assert status.installed is (state is not ServiceState.ABSENT)
    assert status.installed or not status.running
    assert status.running is (state in {ServiceState.STARTING, ServiceState.RUNNING, ServiceState.STOPPING})
