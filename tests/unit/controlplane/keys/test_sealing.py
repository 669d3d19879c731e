from pathlib import Path

import pytest

from controlplane.keys.sealing import FILE_NAME, SealingKey
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.refusal import Refusal

SECRET = b"a secret of Anna's"


@pytest.fixture(name="key")
def key_of_an_installation(tmp_path: Path) -> SealingKey:
    return SealingKey.create(tmp_path, SystemRandomness())


def test_what_is_sealed_comes_back_after_a_restart(key: SealingKey, tmp_path: Path) -> None:
    sealed = key.seal(SECRET, "usr_1")
    assert SECRET not in sealed
    assert sealed != key.seal(SECRET, "usr_1")
    assert SealingKey.load(tmp_path, SystemRandomness()).open(sealed, "usr_1") == SECRET
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_it_opens_for_nobody_else_and_not_when_it_was_changed(key: SealingKey, tmp_path: Path) -> None:
    sealed = key.seal(SECRET, "usr_1")
    other = tmp_path / "other"
    other.mkdir()
    for opener, box, owner in (
        (key, sealed, "usr_2"),
        (key, sealed[:-1] + bytes([sealed[-1] ^ 1]), "usr_1"),
        (key, sealed[:5], "usr_1"),
        (key, b"", "usr_1"),
        (SealingKey.create(other, SystemRandomness()), sealed, "usr_1"),
    ):
        with pytest.raises(Refusal, match="SEAL_BROKEN"):
            opener.open(box, owner)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"key": "AAAA"}', b'{"key": 7}', b"[]"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).touch(mode=0o600)
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(Refusal, match="KEY_FILE_DAMAGED"):
        SealingKey.load(tmp_path, SystemRandomness())


def test_a_key_is_not_shown(key: SealingKey) -> None:
    assert "_key" not in repr(key)
