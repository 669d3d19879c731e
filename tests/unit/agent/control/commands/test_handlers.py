"""What each kind of command does on the device."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.control.commands.allow import AllowHandler
from agent.control.commands.deactivate import DeactivateHandler
from agent.control.commands.delete import DeleteHandler
from agent.control.commands.diagnostics import DiagnosticsHandler
from agent.control.commands.quarantine import QuarantineHandler
from agent.control.commands.restart import RestartHandler
from agent.control.commands.restore import RestoreHandler
from agent.control.commands.scan import ScanHandler
from agent.domain.consent import Consent
from agent.domain.errors import BucklerError
from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.ports import BundlePiece
from agent.domain.schedule import ScanKind
from controlplane.commands.kinds.register import KINDS
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.commands import FakeRequestedScans, a_command
from tests.fakes.quarantine import FakeQuarantine
from tests.fakes.randomness import SeededRandomness


async def no_exclusion(kind: ExclusionKind, value: str, reason: str, end: datetime | None) -> Exclusion:
    return Exclusion("exc_1", kind, value, reason, SOME_MONDAY, end)


async def no_bundle(_hide_paths: bool) -> bytes:  # noqa: FBT001 -- as `MakeBundle` has it
    raise NotImplementedError


class NoUplink:
    """Nothing is sent."""

    async def send_piece(self, piece: BundlePiece) -> tuple[int, bool]:
        raise NotImplementedError


async def no_deactivation(_reason: str) -> None:
    return


async def test_a_scan_looks_at_what_was_asked() -> None:
    scans = FakeRequestedScans()
    handler = ScanHandler(scans)
    for arguments in ({"what": "quick"}, {"what": "full"}, {"what": "path", "path": "/srv"}):
        outcome = await handler.run(a_command("scan", arguments))
        assert outcome.result["files"] == "3"
    assert scans.asked == [ScanKind.QUICK, ScanKind.FULL, "/srv"]
    for arguments in ({"what": "everything"}, {"what": "path", "path": "srv"}, {}):
        with pytest.raises(BucklerError) as refused:
            await handler.run(a_command("scan", arguments))
        assert refused.value.code == "ARGUMENT_INVALID"


async def test_an_exclusion_names_who_wanted_it_and_when_it_ends() -> None:
    made: list[Exclusion] = []

    async def add(kind: ExclusionKind, value: str, reason: str, end: datetime | None) -> Exclusion:
        made.append(await no_exclusion(kind, value, reason, end))
        return made[-1]

    handler = AllowHandler(add, FakeClock())
    outcome = await handler.run(a_command("allow", {"what": "sha256", "value": "ab" * 32, "days": "7"}))
    assert outcome.result == {"exclusion_id": "exc_1"}
    assert made[0].reason == "Friday's check (user:usr_1)"
    assert made[0].expires_at == SOME_MONDAY + timedelta(days=7)
    await handler.run(a_command("allow", {"what": "rule", "value": "Eicar"}))
    assert made[1].expires_at is None
    for arguments in (
        {"what": "world"},
        {"what": "rule", "value": "x", "days": "-1"},
        {"what": "rule", "days": "9999"},
    ):
        with pytest.raises(BucklerError) as refused:
            await handler.run(a_command("allow", arguments))
        assert refused.value.code == "ARGUMENT_INVALID"


async def test_the_agent_restarts_and_deactivates_only_once_that_is_known() -> None:
    done: list[str] = []

    async def deactivate(reason: str) -> None:
        done.append(reason)

    for handler in (RestartHandler(lambda: done.append("restarted")), DeactivateHandler(deactivate)):
        outcome = await handler.run(a_command(handler.kind))
        assert outcome.afterwards is not None
        before = len(done)
        await outcome.afterwards()
        assert len(done) == before + 1
    assert done == ["restarted", "Friday's check"]


def test_both_sides_know_the_same_kinds(tmp_path: Path) -> None:
    quarantine = FakeQuarantine(tmp_path)
    handlers = (
        ScanHandler(FakeRequestedScans()),
        QuarantineHandler(quarantine, FakeClock(), SeededRandomness()),
        RestoreHandler(quarantine),
        DeleteHandler(quarantine),
        AllowHandler(no_exclusion, FakeClock()),
        RestartHandler(lambda: None),
        DeactivateHandler(no_deactivation),
        DiagnosticsHandler(Consent.NEVER, no_bundle, NoUplink()),
    )
    assert {handler.kind for handler in handlers} == set(KINDS)
