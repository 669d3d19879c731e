"""Who may certify whom, as values: a root, and below it issuers of servers' certificates and of devices' ones.

The root's private key is kept away from the server. Issuers of devices' certificates may certify nothing but clients,
so that one that leaked cannot pretend to be a server; servers accept each of them by itself, so that one is taken back
by not accepting it any more. Installations from before there were roots have one self-signed issuer for everything.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from controlplane.keys.certificates import BACKDATED, DEVICE_LIFETIME, Issuer
from controlplane.storage.types import from_microseconds, optional_microseconds, to_microseconds

_NAME_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Issuing:
    """An issuer and its time.

    Attributes:
        issuer: Its certificate and key.
        issues_from: Peers accept it before; it begins to issue then.
        revoked_at: Nothing that it issued is accepted any more; None: it was not revoked.
    """

    issuer: Issuer
    issues_from: datetime
    revoked_at: datetime | None = None

    @property
    def name(self) -> str:
        """Follows from its key."""
        return name_of(self.issuer.certificate)

    @property
    def time(self) -> str:
        """For people."""
        if self.revoked_at is not None:
            return f"revoked at {self.revoked_at:%Y-%m-%d %H:%M} UTC"
        end = self.issuer.certificate.not_valid_after_utc
        return f"issues from {self.issues_from:%Y-%m-%d %H:%M} UTC, ends {end:%Y-%m-%d}"

    @property
    def is_self_signed(self) -> bool:
        """Made by a version that had no root."""
        return self.issuer.certificate.issuer == self.issuer.certificate.subject


@dataclass(frozen=True, slots=True)
class Issuers:
    """Every issuer of an installation, each kind in the order in which they issue.

    Attributes:
        root: Its certificate; None: this installation has none yet.
        servers: Of servers' certificates.
        devices: Of devices' certificates; a revoked one is followed by the one that took over its time.
    """

    root: x509.Certificate | None
    servers: tuple[Issuing, ...]
    devices: tuple[Issuing, ...]

    def for_servers(self, now: datetime) -> Issuing:
        """Who certifies servers."""
        return _present(self.servers, now)

    def for_devices(self, now: datetime) -> Issuing:
        """Who certifies devices."""
        return _present(self.devices, now)

    def accepted(self, now: datetime) -> tuple[Issuing, ...]:
        """Issuers of the certificates that devices may show.

        The present one, the next, and former ones until the last certificate of theirs has ended.
        """
        living = [issuing for issuing in self.devices if issuing.revoked_at is None]
        ends = [following.issues_from + DEVICE_LIFETIME + BACKDATED for following in living[1:]]
        return tuple(issuing for issuing, end in zip(living, [*ends, None], strict=True) if end is None or now < end)

    def anchors(self, now: datetime) -> tuple[x509.Certificate, ...]:
        """What peers of the server chain its certificate to."""
        former = [
            issuing.issuer.certificate
            for issuing in self.servers
            if issuing.is_self_signed and issuing.revoked_at is None and self._is_shown(issuing, now)
        ]
        return (*(() if self.root is None else (self.root,)), *former)

    def _is_shown(self, issuing: Issuing, now: datetime) -> bool:
        """Servers show its certificates."""
        return all(now < each.issues_from for each in self.servers if each.issues_from > issuing.issues_from)

    def with_next(self, root: x509.Certificate, server: Issuing, device: Issuing, now: datetime) -> "Issuers":
        """New issuers that take over after a while; those that nobody needs any more are left out."""
        kept = {issuing.name for issuing in self.accepted(now)}
        devices = [each for each in self.devices if each.revoked_at is not None or each.name in kept]
        present = self.for_servers(now)
        servers = [each for each in self.servers if each.revoked_at is None and each.issues_from >= present.issues_from]
        return Issuers(root, (*servers, server), (*devices, device))

    def without(self, name: str, server: Issuing, device: Issuing, now: datetime) -> "Issuers":
        """An issuer is revoked; others take over its time. Which of them is needed follows from what it issued."""
        devices = [*_replaced(self.devices, name, device, now)]
        servers = [*_replaced(self.servers, name, server, now)]
        return Issuers(self.root, tuple(servers), tuple(devices))

    def told(self) -> dict[str, str]:
        """For people: each issuer and its time, a line each."""
        lines = {}
        for kind, issuers in (("server_ca", self.servers), ("device_ca", self.devices)):
            for number, issuing in enumerate(issuers, start=1):
                lines[f"{kind}_{number}"] = f"{issuing.name} {issuing.time}"
        return lines

    def serialized(self) -> bytes:
        """The content of the file."""
        content = {
            "root": None if self.root is None else _pem(self.root),
            "servers": [_as_json(each) for each in self.servers],
            "devices": [_as_json(each) for each in self.devices],
        }
        return json.dumps(content, indent=1).encode()

    @classmethod
    def parse(cls, content: bytes) -> "Issuers":
        """Read what `serialized` wrote.

        Raises:
            ValueError: Something else is in it.
        """
        try:
            fields = json.loads(content)
            root = None if fields["root"] is None else x509.load_pem_x509_certificate(fields["root"].encode())
            return cls(root, *(tuple(_from_json(each) for each in fields[kind]) for kind in ("servers", "devices")))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a file of issuers") from error


def name_of(certificate: x509.Certificate) -> str:
    """`ca-` and the beginning of the hash of its key."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"ca-{hashlib.sha256(key).hexdigest()[:_NAME_DIGITS]}"


def _present(issuers: Iterable[Issuing], now: datetime) -> Issuing:
    living = [issuing for issuing in issuers if issuing.revoked_at is None]
    # Before the first one begins nobody else can; a clock that is wrong must not keep a server from starting.
    return next((issuing for issuing in reversed(living) if issuing.issues_from <= now), living[0])


def _replaced(issuers: Iterable[Issuing], name: str, by: Issuing, now: datetime) -> Iterable[Issuing]:
    for issuing in issuers:
        if issuing.name != name or issuing.revoked_at is not None:
            yield issuing
        else:
            yield replace(issuing, revoked_at=now)
            yield replace(by, issues_from=issuing.issues_from)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _as_json(issuing: Issuing) -> dict[str, object]:
    key = issuing.issuer.key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "certificate": _pem(issuing.issuer.certificate),
        "private_key": key.decode("ascii"),
        "issues_from_us": to_microseconds(issuing.issues_from),
        "revoked_at_us": optional_microseconds(issuing.revoked_at),
    }


def _from_json(fields: dict[str, Any]) -> Issuing:
    key = serialization.load_pem_private_key(fields["private_key"].encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("not an elliptic-curve key")
    certificate = x509.load_pem_x509_certificate(fields["certificate"].encode())
    revoked = int(fields["revoked_at_us"])
    return Issuing(
        Issuer(certificate, key),
        from_microseconds(int(fields["issues_from_us"])),
        from_microseconds(revoked) if revoked else None,
    )
