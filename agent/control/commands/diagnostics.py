"""Gather a diagnostics bundle and send it, if the owner of this device lets it go."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from agent.domain.commands import CommandOutcome, RemoteCommand
from agent.domain.consent import Consent
from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.ports import BundlePiece, BundleUplink

#: What the control plane takes at once (diagnostics.proto).
PIECE_BYTES: Final = 256 * 1024
_MOST_CALLS_FOR_A_PIECE: Final = 12
#: A line that breaks is tried again after so many seconds, then later and later.
_PAUSES_S: Final = (1.0, 5.0, 30.0, 120.0, 600.0)

#: Makes a bundle; given whether names below homes are taken out.
MakeBundle = Callable[[bool], Awaitable[bytes]]
Pause = Callable[[float], Awaitable[None]]


class DiagnosticsHandler:
    """Sends piece by piece, from where the control plane says it is.

    Args:
        consent: What the owner lets out.
        make: Makes the bundle.
        uplink: Takes it.
        pause: Waits between two attempts, in seconds.
    """

    kind: Final = "diagnostics"
    #: A bundle made anew takes the place of half of another one.
    may_repeat: Final = True

    def __init__(self, consent: Consent, make: MakeBundle, uplink: BundleUplink, pause: Pause = asyncio.sleep) -> None:
        self._consent = consent
        self._make = make
        self._uplink = uplink
        self._pause = pause
        #: Two that are asked for at once would make the same file.
        self._one_at_a_time = asyncio.Lock()

    async def run(self, command: RemoteCommand) -> CommandOutcome:
        """Gather and send.

        Raises:
            BucklerError: `CONSENT_REFUSED`, or it could not be made or sent.
        """
        if self._consent is Consent.NEVER:
            raise BucklerError(
                "CONSENT_REFUSED",
                "the policy of this device lets no diagnostics out",
                next_step="ask its owner to send a bundle, or to change [support] diagnostics",
                exit_status=ExitStatus.NEGATIVE,
            )
        async with self._one_at_a_time:
            content = await self._make(self._consent is Consent.HIDE_PATHS)
        await self._send(command.id, content)
        return CommandOutcome(result={"bytes": str(len(content)), "names_below_homes": self._consent.value})

    async def _send(self, command_id: str, content: bytes) -> None:
        digest, offset, failures = hashlib.sha256(content).digest(), 0, 0
        # As often as there are pieces, were each of them lost once on the way.
        for _ in range(_MOST_CALLS_FOR_A_PIECE * (len(content) // PIECE_BYTES + 1)):
            piece = BundlePiece(command_id, len(content), digest, offset, content[offset : offset + PIECE_BYTES])
            try:
                offset, complete = await self._uplink.send_piece(piece)
            except BucklerError as error:
                if error.exit_status is not ExitStatus.UNREACHABLE or failures == len(_PAUSES_S):
                    raise
                await self._pause(_PAUSES_S[failures])
                failures += 1
            else:
                failures = 0
                if complete:
                    return
        raise BucklerError(
            "UPLOAD_STALLED",
            "the control plane does not get any further with this bundle",
            next_step="ask for a new one",
            exit_status=ExitStatus.NEGATIVE,
        )
