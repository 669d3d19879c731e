"""Codes of authenticator apps (TOTP, RFC 6238) and recovery codes, as values."""

import base64
import hashlib
import hmac
import re
from datetime import datetime
from typing import Final

from pyotp import TOTP

from controlplane.accounts.limits import RECOVERY_CODE_BYTES
from controlplane.storage.types import to_microseconds

#: Seconds for which a code is shown (RFC 6238, section 4.1).
STEP_S: Final = 30
#: One step to either side: clocks differ, people type (RFC 6238, section 5.2 advises no more).
_TOLERANCE: Final = 1
_ISSUER: Final = "Buckler"
_CODE = re.compile(r"[0-9]{6}")
_RECOVERY_CODE = re.compile(r"[a-z2-7]{16}")


def secret_text(secret: bytes) -> str:
    """A secret as people type it into an app: base32."""
    return base64.b32encode(secret).decode("ascii").rstrip("=")


def enrolment_uri(secret: bytes, email: str) -> str:
    """What a QR code for an app holds."""
    return TOTP(secret_text(secret)).provisioning_uri(name=email, issuer_name=_ISSUER)


def code_at(secret: bytes, step: int) -> str:
    """The code of a step."""
    return TOTP(secret_text(secret)).generate_otp(step)


def step_at(now: datetime) -> int:
    """The step that an instant lies in."""
    return to_microseconds(now) // 1_000_000 // STEP_S


def matching_step(secret: bytes, untrusted_code: str, now: datetime) -> int | None:
    """The step whose code this is; None: of none near.

    Every step is compared, so that the time it takes tells nothing.
    """
    code = _squeezed(untrusted_code)
    if _CODE.fullmatch(code) is None:
        return None
    near = range(step_at(now) - _TOLERANCE, step_at(now) + _TOLERANCE + 1)
    matches = [step for step in near if hmac.compare_digest(code_at(secret, step).encode(), code.encode())]
    return matches[0] if matches else None


def recovery_code(random_bytes: bytes) -> str:
    """A recovery code as it is shown: four groups of four letters and digits."""
    letters = base64.b32encode(random_bytes[:RECOVERY_CODE_BYTES]).decode("ascii").lower()
    return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))


def recovery_code_sha256(untrusted_code: str) -> bytes | None:
    """What is stored of a recovery code; None: it cannot be one."""
    code = _squeezed(untrusted_code)
    if _RECOVERY_CODE.fullmatch(code) is None:
        return None
    return hashlib.sha256(code.encode("ascii")).digest()


def _squeezed(untrusted_code: str) -> str:
    """People read codes in groups, and apps show them so."""
    return untrusted_code[:64].replace(" ", "").replace("-", "").lower()
