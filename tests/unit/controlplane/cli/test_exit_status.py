from agent.domain.errors import ExitStatus as OnTheDevice
from controlplane.cli.exit_status import EXIT_STATUS_OF, ExitStatus
from controlplane.runtime.refusal import Kind


def test_the_numbers_mean_the_same_on_device_and_server() -> None:
    assert {status.name: status.value for status in ExitStatus} == {each.name: each.value for each in OnTheDevice}


def test_every_kind_of_refusal_has_an_exit_status_that_is_not_success() -> None:
    assert set(EXIT_STATUS_OF) == set(Kind)
    assert ExitStatus.OK not in EXIT_STATUS_OF.values()
