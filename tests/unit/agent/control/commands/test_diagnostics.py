"""A device sends a bundle: whether, what, and over a line that breaks."""

import hashlib
from datetime import timedelta

import pytest

from agent.control.commands.diagnostics import PIECE_BYTES, DiagnosticsHandler
from agent.domain.commands import RemoteCommand
from agent.domain.consent import Consent
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.ports import BundlePiece
from tests.fakes.clock import SOME_MONDAY

CONTENT = bytes(PIECE_BYTES) + b"tail" * 1_000
COMMAND = RemoteCommand("cmd_1", "diagnostics", {}, SOME_MONDAY + timedelta(days=1), "user:1", "ticket 7")


class FakeUplink:
    """Keeps what arrives; loses some pieces, or the answers to them."""

    def __init__(self, *, lose: tuple[int, ...] = (), lose_answer: tuple[int, ...] = (), deaf: bool = False) -> None:
        self.kept = b""
        self.calls = 0
        self._lose, self._lose_answer, self._deaf = lose, lose_answer, deaf

    async def send_piece(self, piece: BundlePiece) -> tuple[int, bool]:
        self.calls += 1
        if self.calls in self._lose:
            raise BucklerError("SERVER_UNREACHABLE", "gone", next_step="wait", exit_status=ExitStatus.UNREACHABLE)
        if piece.offset == len(self.kept) and not self._deaf:
            self.kept += piece.content
        if self.calls in self._lose_answer:
            raise BucklerError("SERVER_UNREACHABLE", "gone", next_step="wait", exit_status=ExitStatus.UNREACHABLE)
        return len(self.kept), hashlib.sha256(self.kept).digest() == piece.sha256


class Scene:
    """A handler, what it asked to be made, and how long it waited."""

    def __init__(self, uplink: FakeUplink, consent: Consent = Consent.ALLOW) -> None:
        self.made: list[bool] = []
        self.waited_s: list[float] = []
        self.handler = DiagnosticsHandler(consent, self._make, uplink, self._pause)

    async def _make(self, hide_paths: bool) -> bytes:  # noqa: FBT001 -- as `MakeBundle` has it
        self.made.append(hide_paths)
        return CONTENT

    async def _pause(self, seconds: float) -> None:
        self.waited_s.append(seconds)


async def test_a_bundle_is_sent_whole_over_a_line_that_breaks() -> None:
    uplink = FakeUplink(lose=(1, 2), lose_answer=(3,))
    scene = Scene(uplink)
    outcome = await scene.handler.run(COMMAND)
    assert uplink.kept == CONTENT
    assert outcome.result["bytes"] == str(len(CONTENT))
    assert scene.waited_s == [1.0, 5.0, 30.0]


@pytest.mark.parametrize(("consent", "hidden"), [(Consent.ALLOW, False), (Consent.HIDE_PATHS, True)])
async def test_the_owner_decides_how_much_is_taken_out(consent: Consent, *, hidden: bool) -> None:
    scene = Scene(FakeUplink(), consent)
    await scene.handler.run(COMMAND)
    assert scene.made == [hidden]


async def test_the_owner_may_refuse_and_nothing_is_even_gathered() -> None:
    uplink = FakeUplink()
    scene = Scene(uplink, Consent.NEVER)
    with pytest.raises(BucklerError) as refusal:
        await scene.handler.run(COMMAND)
    assert (refusal.value.code, scene.made, uplink.calls) == ("CONSENT_REFUSED", [], 0)


@pytest.mark.parametrize(
    ("uplink", "code"),
    [(FakeUplink(lose=tuple(range(100))), "SERVER_UNREACHABLE"), (FakeUplink(deaf=True), "UPLOAD_STALLED")],
)
async def test_it_ends_when_there_is_no_getting_on(uplink: FakeUplink, code: str) -> None:
    with pytest.raises(BucklerError) as refusal:
        await Scene(uplink).handler.run(COMMAND)
    assert refusal.value.code == code
