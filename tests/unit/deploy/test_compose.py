"""The compose file, the balancer's and the bus's settings: they fit each other, the image and what the server takes."""

import re
import shutil
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy.engine import make_url
from typer.main import get_command

DEPLOY = Path(__file__).parents[3] / "deploy"
SERVERS = ("server-1", "server-2")
#: Of the compose specification, what our file uses, and the kind of its value.
SERVICE_KEYS: dict[str, type | tuple[type, ...]] = {
    "image": str, "build": dict, "restart": str, "environment": dict, "volumes": list, "ports": list, "networks": list,
    "depends_on": dict, "healthcheck": dict, "read_only": bool, "tmpfs": list, "cap_drop": list, "security_opt": list,
    "stop_grace_period": str, "command": list,
}  # fmt: skip
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}


@pytest.fixture(name="compose")
def compose_file() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.fixture(name="balancer")
def balancer_file() -> str:
    return (DEPLOY / "haproxy.cfg").read_text()


def test_the_compose_file_has_only_keys_that_compose_knows(compose: Any) -> None:
    assert set(compose) == {"name", "services", "volumes", "networks"}
    for service in compose["services"].values():
        assert set(service) <= set(SERVICE_KEYS)
        for key, value in service.items():
            assert isinstance(value, SERVICE_KEYS[key]), key
        assert set(service["healthcheck"]) <= HEALTH_KEYS
        assert service["healthcheck"]["test"][0] == "CMD"


def test_everything_it_refers_to_is_there(compose: Any) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert set(service["networks"]) <= set(compose["networks"])
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).is_file(), volume
    build = services["server-1"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()


def test_nobody_but_the_servers_reaches_database_and_bus_and_no_password_is_ours(compose: Any) -> None:
    services = compose["services"]
    assert compose["networks"]["inside"] == {"internal": True}
    assert {name for name, service in services.items() if "inside" in service["networks"]} == {
        "database", "bus", *SERVERS,
    }  # fmt: skip
    for name, variable in (("database", "POSTGRES_PASSWORD"), ("bus", "NATS_PASSWORD")):
        assert services[name]["networks"] == ["inside"]
        assert services[name]["environment"][variable].startswith(f"${{{variable}:?")
    assert "password: $NATS_PASSWORD" in (DEPLOY / "nats.conf").read_text()


def test_only_the_balancer_is_reached_from_outside(compose: Any, balancer: str) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"balancer": ["8443:8443", "8444:8444"]}
    assert re.findall(r"(?m)^    bind :(\d+)$", balancer) == ["8443", "8444", "8405"]


def test_the_servers_are_alike_and_their_options_are_those_of_the_program(compose: Any) -> None:
    from controlplane.cli.buckler_server import app
    from controlplane.runtime.network.balanced import parse_balancers

    first, second = (compose["services"][name] for name in SERVERS)
    assert first == second
    program, *options = first["command"]
    known = {name for option in get_command(app).commands[program].params for name in option.opts}  # type: ignore[attr-defined]
    given = dict(option.split("=", 1) for option in options)
    assert set(given) <= known
    [network] = compose["networks"]["balanced"]["ipam"]["config"]
    assert parse_balancers([given["--balancer"]]) == (ip_network(network["subnet"]),)
    assert given["--log-format"] == "json"


def test_the_servers_know_where_database_and_bus_are(compose: Any) -> None:
    for name in SERVERS:
        environment = compose["services"][name]["environment"]
        database = make_url(environment["BUCKLER_SERVER_DATABASE_URL"])
        assert database.host in compose["services"]
        assert database.database == compose["services"]["database"]["environment"]["POSTGRES_DB"]
        assert environment["BUCKLER_SERVER_BUS_URL"] == "nats://buckler:${NATS_PASSWORD}@bus:4222"
    assert re.search(r"(?m)^port: 4222$", (DEPLOY / "nats.conf").read_text())


def test_the_balancer_sends_to_every_server_and_asks_each_whether_it_is_ready(compose: Any, balancer: str) -> None:
    listens = dict(option.split("=", 1) for option in compose["services"]["server-1"]["command"][1:])
    port = {name: address.rpartition(":")[2] for name, address in listens.items() if name.endswith("listen")}
    for backend, option, header in (("people", "--listen", " send-proxy-v2"), ("devices", "--device-listen", "")):
        block = balancer.partition(f"\nbackend {backend}\n")[2].partition("\n\n")[0]
        assert "option httpchk GET /readyz" in block
        assert re.findall(r"(?m)^    server \w+ (.*)$", block) == [
            f"{name}:{port[option]} check port {port['--monitor-listen']}{header}" for name in SERVERS
        ]


def test_a_server_has_time_to_stop(compose: Any) -> None:
    from controlplane.runtime.network.server import STOP_GRACE_S

    server = compose["services"]["server-1"]
    [drain] = [float(option.partition("=")[2]) for option in server["command"] if option.startswith("--drain=")]
    assert float(server["stop_grace_period"].removesuffix("s")) > drain + 3 * STOP_GRACE_S


def test_the_image_serves_the_ports_that_are_balanced() -> None:
    image = (DEPLOY / "Dockerfile").read_text()
    [exposed] = re.findall(r"(?m)^EXPOSE (.*)$", image)
    assert exposed.split() == ["8443", "8444"]
    assert all(f"0.0.0.0:{port}" in image for port in exposed.split())
    assert re.search(r"(?m)^USER buckler-server$", image)


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
def test_haproxy_understands_every_line() -> None:
    command = ["haproxy", "-c", "-f", str(DEPLOY / "haproxy.cfg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "[WARNING]" in line or "[ALERT]" in line]
    # The servers' names are known only between the containers.
    assert [line for line in complaints if "could not resolve address 'server-" not in line] == []
    assert done.returncode == 0
