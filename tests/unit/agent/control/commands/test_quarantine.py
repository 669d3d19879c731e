import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.control.commands.quarantine import QuarantineHandler
from agent.domain.commands import CommandOutcome
from agent.domain.errors import BucklerError
from tests.fakes.clock import FakeClock
from tests.fakes.commands import a_command
from tests.fakes.quarantine import FakeQuarantine
from tests.fakes.randomness import SeededRandomness
from wire.path_argument import path_from_argument, path_to_argument

CONTENT = b"what was found"


@pytest.fixture
def vault(tmp_path: Path) -> FakeQuarantine:
    return FakeQuarantine(tmp_path / "vault")


def _arguments(path: str, content: bytes = CONTENT) -> dict[str, str]:
    return {
        "path": path_to_argument(os.fsencode(path)),
        "sha256": sha256(content).hexdigest(),
        "rule": "Eicar",
        "namespace": "default",
        "severity": "high",
        "threat_name": "EICAR",
    }


async def _run(vault: FakeQuarantine, arguments: Mapping[str, str]) -> CommandOutcome:
    handler = QuarantineHandler(vault, FakeClock(), SeededRandomness())
    return await handler.run(a_command("quarantine", arguments))


async def _refusal(vault: FakeQuarantine, arguments: Mapping[str, str]) -> str:
    with pytest.raises(BucklerError) as refused:
        await _run(vault, arguments)
    return refused.value.code


async def test_the_content_that_was_found_is_taken_and_called_what_it_was_called(
    vault: FakeQuarantine, tmp_path: Path
) -> None:
    found = tmp_path / "100% \udcff.com"
    found.write_bytes(CONTENT)
    outcome = await _run(vault, _arguments(str(found)))
    assert not found.exists()
    assert outcome.result == {"outcome": "quarantined", "quarantine_id": next(iter(vault.entries))}
    (captured,) = vault.captured
    assert (captured.findings[0].threat_name, captured.facts.sha256) == ("EICAR", sha256(CONTENT).hexdigest())


async def test_another_content_stays_where_it_is(vault: FakeQuarantine, tmp_path: Path) -> None:
    other = tmp_path / "report.pdf"
    other.write_bytes(b"something new")
    assert await _refusal(vault, _arguments(str(other))) == "FILE_CHANGED"
    assert other.exists()


async def test_nothing_is_taken_through_a_link_and_what_is_gone_is_dealt_with(
    vault: FakeQuarantine, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(CONTENT)
    (tmp_path / "link").symlink_to(target)
    for name in ("link", "nothing"):
        assert (await _run(vault, _arguments(str(tmp_path / name)))).result == {"outcome": "gone"}
    assert target.exists()


async def test_a_vault_that_cannot_take_it_says_so(vault: FakeQuarantine, tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.write_bytes(CONTENT)
    vault.failure = BucklerError("VAULT_FULL", "no room", next_step="make some")
    assert await _refusal(vault, _arguments(str(found))) == "VAULT_FULL"


async def test_arguments_that_name_no_file_are_refused(vault: FakeQuarantine) -> None:
    good = _arguments("/srv/x")
    for wrong in ({"path": "srv/x"}, {"sha256": "ab"}, {"severity": "awful"}, {"rule": ""}, {"path": "/srv/%00"}):
        assert await _refusal(vault, {**good, **wrong}) == "ARGUMENT_INVALID"


@given(st.binary(max_size=40))
def test_every_path_travels_as_text(path: bytes) -> None:
    text = path_to_argument(path)
    assert path_from_argument(text) == path
    assert text.isascii()
    assert text.isprintable()
