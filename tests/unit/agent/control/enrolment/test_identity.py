import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from agent.control.enrolment.identity import fingerprint, load_identity, load_or_create_identity
from agent.domain.errors import BucklerError
from tests.fakes.device import FACTS


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    assert load_identity(path) is None
    first = load_or_create_identity(path)
    assert load_or_create_identity(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["device.key"]


def test_two_at_once_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_or_create_identity(path).public_key_sha256, range(8)))
    assert len(keys) == 1


def test_the_request_proves_possession_of_the_key(tmp_path: Path) -> None:
    request = x509.load_der_x509_csr(load_or_create_identity(tmp_path / "k").certificate_request("n" * 200))
    assert request.is_signature_valid


def test_the_private_key_is_not_printed(tmp_path: Path) -> None:
    assert "PRIVATE" not in repr(load_or_create_identity(tmp_path / "k"))


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_key_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "device.key"
    path.write_bytes(content)
    with pytest.raises(BucklerError) as refused:
        load_or_create_identity(path)
    assert refused.value.code == "DEVICE_KEY_DAMAGED"
    assert path.read_bytes() == content


def test_the_fingerprint_hides_the_facts_and_differs_between_devices() -> None:
    here, there = fingerprint(FACTS, b"salt 1"), fingerprint(FACTS, b"salt 2")
    assert here == fingerprint(FACTS, b"salt 1")
    assert here != there
    assert [kind for kind, _ in here] == ["machine_id"]
    assert b"3f9c" not in here[0][1]
