"""The sealed format."""

import hashlib
import os
from pathlib import Path

import pytest

from agent.quarantine.inert import CHUNK_BYTES, Contents, DamagedSealError, GrewError, hash_file, seal, unseal

GOLDEN = "cb05c26d3466c7dc794be58d8fcbb1f5d70a1e2185b8f5350443fc7052f278d8"
KEY, SALT, ID = b"k" * 32, b"s" * 32, "q_0123456789abcdef"


def sealed(folder: Path, content: bytes, entry_id: str = ID) -> Path:
    plain, target = folder / "plain", folder / "sealed"
    plain.write_bytes(content)
    with plain.open("rb") as source, target.open("wb") as out:
        contents = seal(
            source.fileno(),
            out.fileno(),
            vault_key=KEY,
            entry_id=entry_id,
            salt=SALT,
            expected_bytes=len(content),
        )
    assert contents == Contents(len(content), hashlib.sha256(content).hexdigest())
    return target


def opened(path: Path, *, key: bytes = KEY, entry_id: str = ID) -> bytes:
    plain = path.with_name("again")
    with path.open("rb") as source, plain.open("wb") as target:
        unseal(source.fileno(), target.fileno(), vault_key=key, entry_id=entry_id)
    return plain.read_bytes()


def test_the_format_is_what_its_documentation_says_and_stays_so(tmp_path: Path) -> None:
    data = sealed(tmp_path, b"content").read_bytes()
    assert data[:12] == b"BKLRQ\0\0\1" + CHUNK_BYTES.to_bytes(4, "big")
    assert data[12:44] == SALT
    assert len(data) == 44 + len(b"content") + 16
    # Golden: a vault written by this version is read by every later one.
    assert hashlib.sha256(data).hexdigest() == GOLDEN


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_what_was_sealed_comes_back(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    assert opened(sealed(tmp_path, content)) == content


def test_checking_needs_no_target(tmp_path: Path) -> None:
    with sealed(tmp_path, b"content").open("rb") as source:
        contents = unseal(source.fileno(), None, vault_key=KEY, entry_id=ID)
    assert contents == Contents(7, hashlib.sha256(b"content").hexdigest())


def test_another_key_or_another_entry_opens_nothing(tmp_path: Path) -> None:
    path = sealed(tmp_path, b"content")
    with pytest.raises(DamagedSealError):
        opened(path, key=b"x" * 32)
    with pytest.raises(DamagedSealError):
        opened(path, entry_id="q_0123456789abcdee")


def test_chunks_cannot_be_left_out_doubled_exchanged_or_cut_off(tmp_path: Path) -> None:
    data = sealed(tmp_path, os.urandom(2 * CHUNK_BYTES + 100)).read_bytes()
    step = CHUNK_BYTES + 16
    head, first, second, last = data[:44], data[44 : 44 + step], data[44 + step : 44 + 2 * step], data[44 + 2 * step :]
    forged = tmp_path / "forged"
    for body in (first + second, first, b"", second + first + last, first + last, first + first + second + last):
        forged.write_bytes(head + body)
        with pytest.raises(DamagedSealError):
            opened(forged)
    forged.write_bytes(data + b"\0")
    with pytest.raises(DamagedSealError):
        opened(forged)


def test_a_writer_who_never_stops_does_not_keep_us_reading(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"x" * 100)
    with plain.open("rb") as source, (tmp_path / "sealed").open("wb") as target:
        with pytest.raises(GrewError):
            seal(source.fileno(), target.fileno(), vault_key=KEY, entry_id=ID, salt=SALT, expected_bytes=99)
        with pytest.raises(GrewError):
            hash_file(source.fileno(), 99)
        assert hash_file(source.fileno(), 100) == Contents(100, hashlib.sha256(b"x" * 100).hexdigest())
