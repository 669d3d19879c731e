"""A server process that dies at a chosen step of an activation.

    python -m tests.integration.controlplane.licensing.dying_process DATABASE FOLDER KEY CSR STEP

A step is `sign:before`, `sign:after`, `commit:N:before` or `commit:N:after`.
"""

import asyncio
import os
import signal
import sys
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


async def _activate(url: str, folder: Path, raw_key: str, request: bytes, step: str) -> None:
    signer = EntitlementKeys.load(folder)
    own = folder / "dying"
    own.mkdir(mode=0o700)
    world = World(DyingDatabase(url, step), own, signer=FailingSigner(DyingSigner(signer, step)))
    await world.licensing.activate(Activation(raw_key, request, "pc", LINUX, ONE_IMAGE))


if __name__ == "__main__":
    asyncio.run(_activate(sys.argv[1], Path(sys.argv[2]), sys.argv[3], bytes.fromhex(sys.argv[4]), sys.argv[5]))
