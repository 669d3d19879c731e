"""A server process that dies at a chosen step of an activation.

A step is `sign:before`, `sign:after`, `commit:N:before` or `commit:N:after`.
"""

import os
import signal
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from controlplane.keys.signing import EntitlementKeys
from controlplane.licensing.ports import EntitlementSigner, SignedKeySetBytes, SigningKeyInfo
from controlplane.licensing.service import Activation
from tests.fakes.signer import FailingSigner
from tests.fakes.world import LINUX, ONE_IMAGE, World
from tests.integration.controlplane.billing.dying_process import DyingDatabase


class DyingSigner:
    """Dies around a signature."""

    def __init__(self, real: EntitlementSigner, step: str) -> None:
        self._real = real
        self._step = step

    def sign(self, claims: bytes) -> tuple[str, bytes]:
        self._maybe("sign:before")
        signed = self._real.sign(claims)
        self._maybe("sign:after")
        return signed

    def _maybe(self, step: str) -> None:
        if self._step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def public_keys(self) -> Sequence[SigningKeyInfo]:
        return self._real.public_keys()

    def revoked_kids(self) -> AbstractSet[str]:
        return self._real.revoked_kids()

    def key_set(self) -> SignedKeySetBytes:
        return self._real.key_set()


async def activate(url: str, folder: str, raw_key: str, request_hex: str, step: str) -> None:
    """Activate one device with the keys in `folder`."""
    signer = EntitlementKeys.load(Path(folder))
    own = Path(folder) / "dying"
    own.mkdir(mode=0o700)
    world = World(DyingDatabase(url, step), own, signer=FailingSigner(DyingSigner(signer, step)))
    await world.licensing.activate(Activation(raw_key, bytes.fromhex(request_hex), "pc", LINUX, ONE_IMAGE))
