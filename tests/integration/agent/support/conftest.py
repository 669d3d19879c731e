"""One control plane and one activated device for the whole room; each test has a copy of the device."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.domain.entitlement import NOT_ACTIVATED
from agent.local_api.status import (
    EngineFacts,
    LicenceFacts,
    OutboxFacts,
    RealtimeFacts,
    StatusFacts,
    VaultFacts,
)
from tests.fakes.control_plane import FakeControlPlane
from tests.fakes.patient import NOW, FakeMachine, Patient, copy_of, served_in_background
from wire.activation_key import format_activation_key, generate_activation_key

KEY = format_activation_key(generate_activation_key(b"eleven byte"))
HEALTHY = StatusFacts(
    issues=(),
    licence=LicenceFacts(NOT_ACTIVATED, None, None),
    realtime=RealtimeFacts(enabled=True, subsystem="fanotify", roots=("/a", "/b"), proven_at=NOW),
    engine=EngineFacts("yara", "4.5.4", "1", NOW - timedelta(days=2), 2),
    app_version="0.1.0",
    vault=VaultFacts(),
    outbox=OutboxFacts(),
    policy_version="local-1",
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    """Activated for real, over TLS."""
    plane = FakeControlPlane(now=NOW, keys={KEY: ""})
    with served_in_background(plane):
        patient = Patient(tmp_path_factory.mktemp("original") / "data", plane)
        patient.activate(KEY)
        yield patient


@pytest.fixture
def patient(original: Patient, tmp_path: Path) -> Iterator[Patient]:
    """A healthy device."""
    plane = original.plane
    patient = Patient(copy_of(original.data_dir, tmp_path / "data"), plane, machine=FakeMachine(), facts=HEALTHY)
    patient.fields["last_check_in"] = NOW.isoformat()
    yield patient
    plane.busy, plane.now, plane.version, plane.oldest_agent = False, NOW, "0.1.0", ""
    plane.access, plane.access_reason = 1, "PAID"
    plane.keys = {KEY: ""}
    plane.seat_limit = 3
