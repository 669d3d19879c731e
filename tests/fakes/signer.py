"""A signer that fails when it is told to."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from controlplane.licensing.ports import EntitlementSigner, SignedKeySetBytes, SignerUnavailableError, SigningKeyInfo


class KilledError(BaseException):
    """Stands for `kill -9`: nothing may catch it and go on."""


class FailingSigner:
    """A real signer behind a switch."""

    def __init__(self, real: EntitlementSigner) -> None:
        self._real = real
        self.unavailable = False
        self.kills_the_process = False
        self.signed: list[bytes] = []

    def sign(self, claims: bytes) -> tuple[str, bytes]:
        if self.kills_the_process:
            raise KilledError
        if self.unavailable:
            raise SignerUnavailableError
        self.signed.append(claims)
        return self._real.sign(claims)

    def revoked_kids(self) -> AbstractSet[str]:
        return self._real.revoked_kids()

    def key_set(self) -> SignedKeySetBytes:
        return self._real.key_set()

    def public_keys(self) -> Sequence[SigningKeyInfo]:
        return self._real.public_keys()
