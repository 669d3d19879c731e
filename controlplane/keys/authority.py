"""The control plane's own certificate authority: issuers in a file, server and device certificates from them.

Certificates follow the wall clock, as every TLS peer does, whatever the business clock of a demonstration says. The
file may be replaced while servers run: they look at it with every handshake, and issue and accept by what it says now.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controlplane.keys.authority_root import FILE_NAME as ROOT_KEY
from controlplane.keys.authority_root import AuthorityRoot
from controlplane.keys.certificates import (
    DEVICE_LIFETIME,
    SERIAL_BYTES,
    Issuer,
    device_certificate,
    server_certificate,
)
from controlplane.keys.issuers import Issuers, Issuing
from controlplane.runtime.clock import Clock
from controlplane.runtime.private_files import read_private, write_private
from controlplane.runtime.randomness import Randomness
from controlplane.runtime.refusal import Kind, Refusal

ISSUERS = "authorities.json"
#: What an installation has instead that was made before there was a root: one issuer, certificate and key.
FORMER_CERTIFICATE, FORMER_KEY = "authority.pem", "authority_key.pem"
#: Certificate, that of its issuer, and key in one file, so that no crash can part them.
SERVER_IDENTITY = "server.pem"
#: Names that a server certificate always carries, so that this machine can reach it.
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
#: A server certificate is replaced when less than this is left of it.
RENEWED_BEFORE_END = timedelta(days=60)
#: How often time is asked whether something ended or began.
LOOKED_AT_EVERY = timedelta(minutes=1)
#: Honest requests have some 400 bytes.
MAX_REQUEST_BYTES = 8 * 1024
_KEY_BEGINS = b"-----BEGIN PRIVATE KEY-----"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What a TLS server shows and accepts, PEM.

    Attributes:
        private_key: Of its certificate.
        certificate: With that of its issuer, if peers do not know it.
        authorities: What it chains to.
        client_issuers: Who certified the devices that it accepts.
    """

    private_key: bytes
    certificate: bytes
    authorities: bytes
    client_issuers: bytes


@dataclass(frozen=True, slots=True)
class CertificateEnds:
    """When certificates end; for the doctor. The first that ends of those that certify others, and the server's."""

    authority: datetime
    server: datetime


class CertificateAuthority:
    """Issues certificates; implements `licensing.ports.CertificateAuthority`.

    Args:
        folder: Where its files are.
        issuers: As they are stored there.
        wall: The machine's clock.
        randomness: For serial numbers.
    """

    def __init__(self, folder: Path, issuers: Issuers, *, wall: Clock, randomness: Randomness) -> None:
        self._folder = folder
        self._issuers = issuers
        self._wall = wall
        self._randomness = randomness
        self._seen = _stamp(folder / ISSUERS)
        self._shown: tuple[object, datetime, ServerIdentity] | None = None

    @classmethod
    def create(
        cls, folder: Path, *, hostnames: Sequence[str], wall: Clock, randomness: Randomness
    ) -> "CertificateAuthority":
        """Make the root, the first issuers and the first server certificate, and store all of them."""
        now = wall.now()
        root = AuthorityRoot.create(folder / ROOT_KEY, now=now, randomness=randomness)
        issuers = Issuers(
            root.certificate,
            (root.server_issuer(now=now, issues_from=now),),
            (root.device_issuer(now=now, issues_from=now),),
        )
        write_private(folder / ISSUERS, issuers.serialized())
        authority = cls(folder, issuers, wall=wall, randomness=randomness)
        authority._issue_server((*hostnames, *(name for name in LOCAL_NAMES if name not in hostnames)))
        return authority

    @classmethod
    def load(cls, folder: Path, *, wall: Clock, randomness: Randomness) -> "CertificateAuthority":
        """Read the stored issuers.

        Raises:
            Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE, KEY_FILE_EXPOSED or KEY_FILE_DAMAGED.
        """
        return cls(folder, _stored(folder), wall=wall, randomness=randomness)

    # ------------------------------------------------------------ at work

    def issue_device(self, csr_der: bytes, *, device_id: str, org_id: str) -> bytes:
        """Certify a device's key for 30 days. Names inside the request are ignored.

        Args:
            csr_der: PKCS#10 as it came from the network.
            device_id: Who the certificate will speak of.
            org_id: Whose device it is.

        Returns:
            PEM.

        Raises:
            Refusal: BAD_CERTIFICATE_REQUEST, it is malformed, not signed by its own key, or not a P-256 key.
        """
        public = requested_key(csr_der)
        now = self._wall.now()
        certificate = device_certificate(
            public,
            self._current().for_devices(now).issuer,
            device_id=device_id,
            org_id=org_id,
            serial=self._randomness.token_bytes(SERIAL_BYTES),
            now=now,
        )
        return _pem(certificate)

    def authorities_pem(self) -> bytes:
        """PEM: what server certificates chain to."""
        return b"".join(map(_pem, self._current().anchors(self._wall.now())))

    def server_identity(self) -> ServerIdentity:
        """What the server shows, and whom it accepts; quick while nothing changes.

        A certificate near its end, or of a former issuer, is replaced first, with the same names.

        Raises:
            Refusal: KEY_FILE_MISSING, KEY_FILE_UNREADABLE, KEY_FILE_EXPOSED or KEY_FILE_DAMAGED.
        """
        now, known = self._wall.now(), self._shown
        if known is not None and known[0] == self._stamps() and timedelta(0) <= now - known[1] < LOOKED_AT_EVERY:
            return known[2]
        identity = self._identity(now)
        self._shown = self._stamps(), now, identity
        return identity

    def _identity(self, now: datetime) -> ServerIdentity:
        issuers = self._current()
        certificate, chain, key = _stored_identity(self._folder / SERVER_IDENTITY)
        near_end = now >= certificate.not_valid_after_utc - RENEWED_BEFORE_END
        issuing = issuers.for_servers(now)
        # One that ends with its issuer cannot be given a later end before there is another issuer.
        near_end = near_end and certificate.not_valid_after_utc < issuing.issuer.certificate.not_valid_after_utc
        if near_end or not _is_from(certificate, issuing):
            self._issue_server(server_names(certificate))
            certificate, chain, key = _stored_identity(self._folder / SERVER_IDENTITY)
        accepted = b"".join(_pem(issuing.issuer.certificate) for issuing in issuers.accepted(now))
        return ServerIdentity(key, chain, self.authorities_pem(), accepted)

    def ends(self) -> CertificateEnds:
        """When the stored certificates end."""
        issuers, now = self._current(), self._wall.now()
        server, _, _ = _stored_identity(self._folder / SERVER_IDENTITY)
        present = (issuers.for_servers(now).issuer.certificate, issuers.for_devices(now).issuer.certificate)
        return CertificateEnds(
            min(each.not_valid_after_utc for each in (*issuers.anchors(now), *present)), server.not_valid_after_utc
        )

    @property
    def issuers(self) -> Issuers:
        """Every issuer, as it is stored."""
        return self._current()

    # ------------------------------------------------------------ ceremonies

    def rotate(self, root_key: Path, issues_in: timedelta) -> Issuers:
        """Publish new issuers that take over after a while; an installation without a root gets one. Stored.

        Raises:
            Refusal: ROTATION_PENDING, AUTHORITY_ROOT_OTHER, AUTHORITY_ROOT_INVALID, or what is wrong with a key file.
        """
        now, before = self._wall.now(), self._current()
        if any(issuing.issues_from > now for issuing in before.devices):
            raise Refusal(
                Kind.PRECONDITION,
                "ROTATION_PENDING",
                "a new issuer of certificates is published already and does not issue yet",
                "See when it begins: buckler-server keys show",
            )
        issues_from = now + issues_in
        root = self._root(before, root_key, now)
        # Devices that know no root yet learn of it with their next certificate.
        shown_from = issues_from if before.root is not None else issues_from + DEVICE_LIFETIME
        server = root.server_issuer(now=now, issues_from=shown_from)
        device = root.device_issuer(now=now, issues_from=issues_from)
        return self._store(before.with_next(root.certificate, server, device, now))

    def revoke(self, name: str, root_key: Path) -> Issuers:
        """Revoke an issuer for good; others take over its time. Stored.

        Raises:
            Refusal: ISSUER_NOT_FOUND, ISSUER_HAS_NO_ROOT, AUTHORITY_ROOT_OTHER, AUTHORITY_ROOT_INVALID, or what is
                wrong with a key file.
        """
        now, before = self._wall.now(), self._current()
        if name not in {each.name for each in (*before.servers, *before.devices) if each.revoked_at is None}:
            raise Refusal(
                Kind.NOT_FOUND,
                "ISSUER_NOT_FOUND",
                f"there is no issuer {name} that could be revoked",
                "List them: buckler-server keys show",
            )
        if before.root is None:
            raise Refusal(
                Kind.PRECONDITION,
                "ISSUER_HAS_NO_ROOT",
                "this installation has no root yet, and its devices trust this issuer itself",
                "First run: buckler-server keys rotate-device-ca --issues-in-hours 0",
            )
        root = self._root(before, root_key, now)
        server, device = (make(now=now, issues_from=now) for make in (root.server_issuer, root.device_issuer))
        return self._store(before.without(name, server, device, now))

    def _root(self, before: Issuers, root_key: Path, now: datetime) -> AuthorityRoot:
        if before.root is None:
            return AuthorityRoot.create(root_key, now=now, randomness=self._randomness)
        return AuthorityRoot.load(root_key, before.root, self._randomness)

    def _store(self, issuers: Issuers) -> Issuers:
        write_private(self._folder / ISSUERS, issuers.serialized())
        return self._current()

    # ------------------------------------------------------------ files

    def _current(self) -> Issuers:
        """The issuers as the file says now."""
        stamp = _stamp(self._folder / ISSUERS)
        if stamp != self._seen:
            self._issuers, self._seen = _stored(self._folder), stamp
        return self._issuers

    def _stamps(self) -> tuple[object, object]:
        return _stamp(self._folder / ISSUERS), _stamp(self._folder / SERVER_IDENTITY)

    def _issue_server(self, names: Sequence[str]) -> None:
        key, now = ec.generate_private_key(ec.SECP256R1()), self._wall.now()
        issuing = self._current().for_servers(now)
        certificate = server_certificate(
            key.public_key(),
            issuing.issuer,
            names=names,
            serial=self._randomness.token_bytes(SERIAL_BYTES),
            now=now,
        )
        further = b"" if issuing.is_self_signed else _pem(issuing.issuer.certificate)
        write_private(self._folder / SERVER_IDENTITY, _pem(certificate) + further + _key_pem(key))


def requested_key(untrusted_csr_der: bytes) -> ec.EllipticCurvePublicKey:
    """The public key that a request asks a certificate for.

    Raises:
        Refusal: BAD_CERTIFICATE_REQUEST.
    """
    if len(untrusted_csr_der) > MAX_REQUEST_BYTES:
        raise _bad_request(f"it is longer than {MAX_REQUEST_BYTES} bytes")
    try:
        request = x509.load_der_x509_csr(untrusted_csr_der)
        public = request.public_key()
        signed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise _bad_request("it is not a PKCS#10 request that can be read") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise _bad_request("its key is not an elliptic-curve key on P-256")
    if not signed:
        raise _bad_request("it is not signed by the key it asks a certificate for")
    return public


def server_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names and addresses a server certificate is for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def is_host_name(name: str) -> bool:
    """Whether a certificate can be made out to it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        labels = name.rstrip(".").split(".")
        return len(name) <= 253 and all(  # noqa: PLR2004 -- RFC 1035, section 2.3.4
            0 < len(label) <= 63 and label.isascii() and label.replace("-", "a").isalnum()  # noqa: PLR2004 -- as above
            for label in labels
        )
    return True


def _bad_request(problem: str) -> Refusal:
    return Refusal(
        Kind.INVALID,
        "BAD_CERTIFICATE_REQUEST",
        f"the certificate request was not accepted: {problem}",
        "Update the agent; if it stays, run: buckler doctor",
    )


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when a file is replaced; no file has one, too."""
    try:
        facts = path.stat()
    except OSError:
        return (0, 0)
    return (facts.st_mtime_ns, facts.st_ino)


def _stored(folder: Path) -> Issuers:
    """The issuers; of an installation from before there was a root, the one that it has."""
    path = folder / ISSUERS
    try:
        if not path.exists() and (folder / FORMER_KEY).exists():
            return _former(folder)
        return Issuers.parse(read_private(path))
    except ValueError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "KEY_FILE_DAMAGED",
            f"{path} holds no issuers of certificates",
            "Restore the folder of keys from its back-up",
            facts={"path": str(path)},
        ) from error


def _former(folder: Path) -> Issuers:
    certificate = x509.load_pem_x509_certificate(read_private(folder / FORMER_CERTIFICATE))
    key = serialization.load_pem_private_key(read_private(folder / FORMER_KEY), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey), "only this file's former version wrote it"
    only = Issuing(Issuer(certificate, key), _EPOCH)
    return Issuers(None, (only,), (only,))


def _is_from(certificate: x509.Certificate, issuing: Issuing) -> bool:
    try:
        certificate.verify_directly_issued_by(issuing.issuer.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _stored_identity(path: Path) -> tuple[x509.Certificate, bytes, bytes]:
    """A certificate, the PEM of it and its issuer, and the PEM of its key, as `_issue_server` wrote them."""
    content = read_private(path)
    chain, begins, key = content.partition(_KEY_BEGINS)
    return x509.load_pem_x509_certificate(content), chain, begins + key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
