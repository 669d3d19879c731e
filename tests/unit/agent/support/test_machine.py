import pytest

from agent.support.machine import LocalMachine


def test_this_machine_can_run_what_it_runs() -> None:
    build = LocalMachine().build()
    assert build.machine == build.built_for
    assert build.broken == {}


def test_proxies_are_told_without_names_and_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://ann:canary@proxy.example:3128/x")
    monkeypatch.setenv("ALL_PROXY", "socks.example")
    monkeypatch.setenv("grpc_proxy", "http://[canary")
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.delenv("all_proxy", raising=False)
    assert LocalMachine().proxies() == {
        "https_proxy": "proxy.example:3128", "ALL_PROXY": "socks.example", "grpc_proxy": "unreadable",
    }  # fmt: skip
