"""Which certificates there are and what stands in them: builders, no files, no clock."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: The root: as long as a generation of devices.
AUTHORITY_LIFETIME = timedelta(days=3652)
#: Issuers below the root: half of its life, so that the next one is certified while the root is valid.
ISSUER_LIFETIME = timedelta(days=1826)
#: Below the 398 days that browsers and platforms accept.
SERVER_LIFETIME = timedelta(days=397)
#: Short: a certificate that cannot be revoked everywhere at once should die soon by itself.
DEVICE_LIFETIME = timedelta(days=30)
#: Peers' clocks run a little behind.
BACKDATED = timedelta(minutes=5)
#: RFC 5280 allows 20 octets, the sign bit unset.
SERIAL_BYTES = 20


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority's certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def authority_certificate(
    key: ec.EllipticCurvePrivateKey, *, name: str, serial: bytes, now: datetime
) -> x509.Certificate:
    """A root that certifies issuers of leaves."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    public = key.public_key()
    return (
        _builder(subject, subject, public, serial, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def issuer_certificate(
    public: ec.EllipticCurvePublicKey,
    root: Issuer,
    *,
    name: str,
    purpose: x509.ObjectIdentifier,
    serial: bytes,
    now: datetime,
) -> x509.Certificate:
    """An issuer of leaves of one purpose; it does not outlive the root."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    lifetime = min(ISSUER_LIFETIME, root.certificate.not_valid_after_utc - now)
    return (
        _builder(subject, root.certificate.subject, public, serial, now, lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
        .sign(root.key, hashes.SHA256())
    )


def server_certificate(
    public: ec.EllipticCurvePublicKey, issuer: Issuer, *, names: Sequence[str], serial: bytes, now: datetime
) -> x509.Certificate:
    """For a server that answers under these host names and addresses; it ends with its issuer at the latest."""
    lifetime = max(timedelta(0), min(SERVER_LIFETIME, issuer.certificate.not_valid_after_utc - now))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    return _leaf(
        _builder(subject, issuer.certificate.subject, public, serial, now, lifetime),
        issuer,
        [general_name(name) for name in names],
        ExtendedKeyUsageOID.SERVER_AUTH,
    )


def device_certificate(
    public: ec.EllipticCurvePublicKey, issuer: Issuer, *, device_id: str, org_id: str, serial: bytes, now: datetime
) -> x509.Certificate:
    """For a device; the interceptor reads who it is from the URI."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, org_id),
            x509.NameAttribute(NameOID.COMMON_NAME, device_id),
        ]
    )
    uri = x509.UniformResourceIdentifier(f"urn:buckler:org:{org_id}:device:{device_id}")
    return _leaf(
        _builder(subject, issuer.certificate.subject, public, serial, now, DEVICE_LIFETIME),
        issuer,
        [uri],
        ExtendedKeyUsageOID.CLIENT_AUTH,
    )


def general_name(name: str) -> x509.GeneralName:
    """A host name or an IP address as a certificate says it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    serial: bytes,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    number = int.from_bytes(serial[:SERIAL_BYTES], "big") >> 1
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(number)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _leaf(
    builder: x509.CertificateBuilder,
    issuer: Issuer,
    names: Sequence[x509.GeneralName],
    purpose: x509.ObjectIdentifier,
) -> x509.Certificate:
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
        .sign(issuer.key, hashes.SHA256())
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
