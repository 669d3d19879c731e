import json
from pathlib import Path

import pytest

from controlplane.cli.ctl.session import FILE_NAME, Session, default_config_dir, load_session, save_session
from controlplane.runtime.refusal import Refusal

SESSION = Session("127.0.0.1:8443", "PEM", "secret", "anna@example.com")


def _reason(config_dir: Path) -> str:
    with pytest.raises(Refusal) as caught:
        load_session(config_dir)
    return caught.value.reason


def test_a_session_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    config_dir = tmp_path / "a" / "b"
    save_session(config_dir, SESSION)
    assert load_session(config_dir) == SESSION
    assert (config_dir / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    save_session(tmp_path, SESSION)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_without_a_session_the_way_to_get_one_is_named(tmp_path: Path) -> None:
    assert _reason(tmp_path) == "NOT_SIGNED_IN"


def test_a_session_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    save_session(tmp_path, SESSION)
    (tmp_path / FILE_NAME).chmod(0o644)
    assert _reason(tmp_path) == "SESSION_EXPOSED"


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "\x00", json.dumps({"server": "a"}), "[" * 100_000])
def test_a_damaged_session_is_refused_with_the_way_out(tmp_path: Path, content: str) -> None:
    path = tmp_path / FILE_NAME
    path.touch(mode=0o600)
    path.write_text(content)
    assert _reason(tmp_path) == "SESSION_INVALID"


def test_a_session_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(Refusal, match="Is a directory") as caught:
        load_session(tmp_path)
    assert caught.value.reason == "SESSION_INVALID"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refusal) as caught:
        save_session(tmp_path / "file" / "folder", SESSION)
    assert caught.value.reason == "CONFIG_DIR_UNWRITABLE"


def test_the_folder_follows_the_users_settings() -> None:
    assert default_config_dir({"XDG_CONFIG_HOME": "/x"}) == Path("/x/bucklerctl")
    assert default_config_dir({}).name == "bucklerctl"
