from pathlib import Path

import pytest

from controlplane.runtime.private_files import read_private, write_private, write_public
from controlplane.runtime.refusal import Refusal


def test_a_secret_is_its_owners_alone_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"old")
    write_private(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_private(path) == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_a_draft_that_a_crash_left_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / ".key.new").write_bytes(b"half")
    write_private(tmp_path / "key", b"whole")
    assert read_private(tmp_path / "key") == b"whole"


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    write_public(tmp_path / "key", b"secret")
    with pytest.raises(Refusal) as refused:
        read_private(tmp_path / "key")
    assert refused.value.reason == "KEY_FILE_EXPOSED"


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        read_private(tmp_path / "key")
    assert refused.value.reason == "KEY_FILE_MISSING"
    assert refused.value.facts == {"path": str(tmp_path / "key")}
