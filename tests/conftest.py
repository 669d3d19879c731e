"""What every test lives with: one Hypothesis profile, logs beside answers, no network in unit and property tests."""

import os
import sys
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from pytest_socket import disable_socket, enable_socket

# The machine that runs the suite is slow and shared: a deadline per example would measure its neighbours.
settings.register_profile("buckler", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "buckler"))

#: Folders whose tests must not reach any network, not even this machine's own loopback.
OFFLINE = ("unit", "property", "fuzz")
_TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Take the network away from offline tests; Unix sockets stay, event loops need them.

    What a server of this very process logs must not get into the answer of a command that is called beside it.
    """
    if not structlog.is_configured():
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    room = item.path.relative_to(_TESTS).parts[0]
    if room in OFFLINE:
        disable_socket(allow_unix_socket=True)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Give it back."""
    enable_socket()
