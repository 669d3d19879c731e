"""Nothing that `buckler doctor` prints is a secret: what must not be seen is put everywhere it could come from."""

from pathlib import Path

import pytest

from agent.cli.main import run_command
from tests.fakes.control_plane import Authority
from tests.fakes.patient import Patient
from tests.fakes.strangers import closed_port, hangs_up, listening, says
from tests.integration.agent.support.faults import KEY, OTHER_KEY

CANARY = "canary7f3a"


def printed(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    run_command(list(arguments))
    said = capfd.readouterr()
    return said.out + said.err


def secrets_of(patient: Patient) -> list[str]:
    """Lines of the private key, both activation keys in every group that is theirs alone, and the canary."""
    lines = (patient.data_dir / "device.key").read_text().splitlines()[1:-1]
    groups = [group for key in (KEY, OTHER_KEY) for group in key.split("-")[1:]]
    return [CANARY, *lines, *groups]


def test_no_secret_is_printed(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BUCKLER_DATA_DIR", str(patient.data_dir))
    monkeypatch.setenv("https_proxy", f"http://ann:{CANARY}@proxy.invalid:3128")
    key, ca = tmp_path / "key", tmp_path / "ca.pem"
    key.write_text(OTHER_KEY)
    ca.write_bytes(patient.plane.authority.pem)
    said = printed(capfd, "activate", "--server", patient.plane.address, "--key-file", str(key), "--ca", str(ca))
    assert "KEY_UNKNOWN" in said
    network = ["--check", "proxy", "--check", "port", "--check", "tls", "--check", "activation"]
    said += printed(capfd, "doctor", "--server", closed_port(), *network)
    assert "NET_PROXY: " in said
    tls = Authority().server_certificate()
    with listening(hangs_up, tls, folder=tmp_path) as server:
        said += printed(capfd, "doctor", "--server", server, "--output", "json", *network)
    assert "NET_TLS_INTERCEPT" in said
    assert "test authority" in said
    (patient.data_dir / "agent.toml").write_text(f"{CANARY} = 1\n[control_plane\n")
    said += printed(capfd, "doctor", "--config", str(patient.data_dir / "agent.toml"), "--check", "configuration")
    (patient.data_dir / "device.key").chmod(0o644)
    said += printed(
        capfd, "doctor", "--fix", "--check", "data_folder", "--check", "device_key", "--check", "certificate"
    )
    assert "--fix   data_folder: permissions taken away" in said
    assert [secret for secret in secrets_of(patient) if secret in said] == []


def test_what_a_stranger_calls_itself_cannot_move_the_cursor(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:

    monkeypatch.setenv("BUCKLER_DATA_DIR", str(patient.data_dir))
    with listening(says(b"HTTP/1.1 200 OK\r\nServer: \x1b[2Jevil\x07\r\n\r\n")) as server:
        said = printed(capfd, "doctor", "--server", server, "--check", "tls")
    assert "evil" in said
    assert "\x1b" not in said
    assert "\x07" not in said
