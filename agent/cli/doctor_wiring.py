"""What `buckler doctor` is given: this machine, the data folder as it lies there, the running agent, the network.

Nothing here changes anything, and nothing here needs anything: where a part cannot be looked at, its check-up says why.
"""

import asyncio
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from agent.cli.invocation import Common
from agent.domain.errors import BucklerError
from agent.domain.quarantine import CaptureState
from agent.platform.clock import SystemClock
from agent.support.machine import LocalMachine
from agent.support.repairs import LocalRepairs, disposable
from agent.support.surroundings import (
    AgentSeen,
    CertificateSeen,
    DeviceSeen,
    EntitlementSeen,
    Once,
    Place,
    RefusalSeen,
    ScanSeen,
    ServerSeen,
    Stage,
    Surroundings,
    WaySeen,
)
from agent.support.way import knock, walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config import AgentConfig
    from agent.control.addresses import Address
    from agent.control.enrolment.entitlements import EntitlementKeeper
    from agent.domain.ports import Clock, Enrolment, Store
    from agent.domain.services import ServiceStatus
    from agent.locations import Locations

_ENV = "BUCKLER_"
#: How often an agent that was told to check in is asked whether it did, and how far apart, in seconds.
_LOOKS_AFTER_WAKING, _PAUSE_S = 25, 0.2
#: Not lost yet, and not where it was.
_UNFINISHED = frozenset({CaptureState.PLANNED, CaptureState.CAPTURED, CaptureState.STORED})


@dataclass(frozen=True, slots=True)
class Target:
    """A control plane that was named on the command line, and the file of its authority; None: not named."""

    server: str | None = None
    ca: Path | None = None


def surroundings_of(common: Common, target: Target = Target(), clock: "Clock | None" = None) -> Surroundings:
    """Everything there is to look at, for the configuration that the common options point to."""
    clock = clock or SystemClock()
    config, problem = _configuration(common)
    locations = config.locations
    place = _place(config, problem, common)
    device = Once(lambda: _look_at_device(locations, clock))
    agent = Once(lambda: _look_at_agent(locations))
    way = Once(lambda: _walk(_activation_address(device, target, config), locations, target))
    return Surroundings(
        clock=clock,
        place=place,
        machine=LocalMachine(),
        database=Once(lambda: _judge_database(locations)),
        device=device,
        agent=agent,
        service=Once(_look_at_service),
        scan=Once(lambda: _scan_test_file(config, clock)),
        way=way,
        device_way=Once(lambda: _knock(_device_address(device))),
        server=Once(lambda: _ask_server(way, locations, target, clock)),
        repairs=LocalRepairs(
            place,
            rebuild=lambda: _rebuild(locations, clock),
            start=lambda: _start_service(common),
            wake=lambda: _wake_agent(locations),
        ),
    )


# ---------------------------------------------------------------- settings and places


def _configuration(common: Common) -> "tuple[AgentConfig, BucklerError | None]":
    """The configuration, or the usual one and why it cannot be read."""
    from agent.config import load_config
    from agent.locations import Overrides

    try:
        return load_config(Overrides(common.data_dir, common.config)), None
    except BucklerError as error:
        return _usual(common), error


def _usual(common: Common) -> "AgentConfig":
    from agent.config import AgentConfig, RealtimeChoice, default_roots
    from agent.control.policy.book import ConfiguredPolicy
    from agent.locations import Overrides, find_locations
    from agent.realtime.settings import BlockSettings
    from agent.scanner.settings import ScannerSettings

    # `__file__` stands for a configuration that exists, so that only the folders are looked for.
    locations = replace(find_locations(Overrides(common.data_dir, Path(__file__))), config_file=None)
    realtime = RealtimeChoice(tuple(default_roots()), "auto", BlockSettings(), 86_400.0)
    return AgentConfig(locations, None, realtime, ScannerSettings(), (), ConfiguredPolicy())


def _place(config: "AgentConfig", problem: BucklerError | None, common: Common) -> Place:
    from agent.platform.program import app_version

    locations = config.locations
    given = ("the command line",) if common.data_dir or common.config else ()
    variables = sorted(name for name in os.environ if name.startswith(_ENV) and os.environ[name])
    file = (str(locations.config_file),) if locations.config_file else ()
    return Place(
        data_dir=locations.data_dir,
        database=locations.database,
        device_key=locations.device_key,
        vault=locations.vault,
        disposable=tuple(disposable(locations.data_dir, locations.scan_cache)),
        origins=(*given, *variables, *file),
        config_problem=problem,
        version=app_version(),
    )


# ---------------------------------------------------------------- the device, as it lies on the disk


def _judge_database(locations: "Locations") -> str:
    from agent.storage.inspection import judge

    return judge(locations.database)


def _look_at_device(locations: "Locations", clock: "Clock") -> DeviceSeen:
    from agent.control.enrolment.entitlements import EntitlementKeeper
    from agent.control.enrolment.identity import load_identity
    from agent.storage.inspection import inspected

    key_problem, identity = None, None
    try:
        identity = load_identity(locations.device_key)
    except BucklerError as error:
        key_problem = error
    has_key = identity is not None or key_problem is not None
    if not locations.database.exists():
        return DeviceSeen(has_key=has_key, key_problem=key_problem)
    with inspected(locations.database) as store:
        keeper = EntitlementKeeper(store, clock, locations.device_key)
        seen = _records(store)
        enrolment = keeper.enrolment
        if enrolment is None:
            return replace(seen, has_key=has_key, key_problem=key_problem)
        return replace(
            seen,
            activated=True,
            has_key=has_key,
            key_problem=key_problem,
            certificate=_certificate(enrolment, identity.public_key_sha256 if identity else b""),
            entitlement=_entitlement(keeper),
            server=enrolment.server,
            device_server=enrolment.device_server,
            last_check_in=enrolment.last_check_in,
        )


def _records(store: "Store") -> DeviceSeen:
    from agent.control.activation_memory import past_refusal
    from agent.control.enrolment.enroller import unfinished_attempt
    from agent.control.enrolment.entitlements import read_mark

    attempt = unfinished_attempt(store)
    with store.transaction() as tables:
        refusal = past_refusal(tables.settings)
        return DeviceSeen(
            known=True,
            mark=read_mark(tables.settings),
            refusal=RefusalSeen(refusal.code, refusal.message, refusal.next_step, refusal.at) if refusal else None,
            attempt=attempt[0] if attempt else "",
            pending=tables.outbox.count(),
            set_aside=tables.outbox.aside(),
            dropped=tables.outbox.dropped(),
            unfinished=len(tables.journal.entries(_UNFINISHED)),
            held=tables.journal.retained().count,
        )


def _certificate(enrolment: "Enrolment", public_key_sha256: bytes) -> CertificateSeen | None:
    import hashlib

    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if not enrolment.device_server:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(enrolment.certificate_pem)
    except ValueError:
        return None
    public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return CertificateSeen(
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        hashlib.sha256(public).digest() == public_key_sha256,
    )


def _entitlement(keeper: "EntitlementKeeper") -> EntitlementSeen:
    from agent.control.policy.way_back import way_back

    access, claims = keeper.access(), keeper.claims
    refused = next((issue.message for issue in keeper.issues if issue.code == "entitlement_refused"), "")
    seen = EntitlementSeen(
        access.level.value, access.reason, way_back(access), refused.rpartition(": ")[2], until=access.until
    )
    if claims is None:
        return seen
    return replace(
        seen,
        issued_at=claims.issued_at,
        refresh_after=claims.refresh_after,
        paid_until=claims.paid_until,
    )


# ---------------------------------------------------------------- the running agent and its supervisor


def _look_at_agent(locations: "Locations") -> AgentSeen:
    from agent.local_api.client import agent_answers, ask_status

    for socket in locations.status_sockets:
        try:
            if agent_answers(socket):
                fields = asyncio.run(ask_status(socket))
                return AgentSeen(running=True, fields={field.name: field.value for field in fields})
        except BucklerError as error:
            return AgentSeen(running=False, problem=error)
    return AgentSeen(running=False)


def _look_at_service() -> "ServiceStatus":
    from agent.platform.services.supervisor import service_supervisor

    return service_supervisor().status()


def _start_service(common: Common) -> str:
    from agent.cli.service_wiring import open_desk

    return open_desk(common).start()


def _wake_agent(locations: "Locations") -> None:
    from agent.local_api.client import remote_actions

    async def wake() -> None:
        async with remote_actions(locations.local_api.control_socket) as actions:
            await actions.reload_enrolment()

    before = _contact(locations)
    asyncio.run(wake())
    for _ in range(_LOOKS_AFTER_WAKING):
        if _contact(locations) != before:
            return
        time.sleep(_PAUSE_S)


def _contact(locations: "Locations") -> tuple[str, str]:
    """What changes when the agent has checked in, or failed to in another way."""
    agent = _look_at_agent(locations)
    return agent.text("last_check_in"), agent.text("last_contact_error")


def _rebuild(locations: "Locations", clock: "Clock") -> str:
    from agent.platform.files.lock import AgentLock
    from agent.storage.rebuilding import rebuild

    with AgentLock(locations.lock):
        made = rebuild(locations.database, clock.now())
    kept = sum(made.kept.values())
    torn = f"; not wholly readable: {', '.join(made.torn)}" if made.torn else ""
    return f"{kept} rows kept{torn}; the damaged file is {made.aside}"


# ---------------------------------------------------------------- the self-test


def _scan_test_file(config: "AgentConfig", clock: "Clock") -> ScanSeen:
    """In a worker of its own, with the built-in rules, from a file that exists in memory only."""
    from agent.domain.facts import ScanFacts
    from agent.platform.files.anonymous_file import anonymous_file
    from agent.realtime.self_test import EICAR
    from agent.scanner.packs.rule_files import builtin_signatures
    from agent.scanner.packs.rulepack import compile_pack, load_rules
    from agent.scanner.workers.service import ScannerService

    pack = compile_pack(load_rules([builtin_signatures()]), config.scanner.engine)
    scanner = ScannerService(replace(config.scanner, workers=1), pack, clock)

    def write(file: BinaryIO) -> None:
        file.write(EICAR)

    descriptor = anonymous_file("doctor", write)

    async def scan() -> ScanFacts:
        try:
            await scanner.start()
            return await scanner.scan(descriptor, "eicar.com")
        finally:
            await scanner.close()

    try:
        facts = asyncio.run(scan())
    finally:
        os.close(descriptor)
        pack.close()
    left = facts.error or ", ".join(each.reason for each in facts.incomplete)
    return ScanSeen(tuple(finding.rule for finding in facts.findings), left, pack.version, pack.made_at)


# ---------------------------------------------------------------- the way to the control plane


def _activation_address(device: "Callable[[], DeviceSeen]", target: Target, config: "AgentConfig") -> "Address | None":
    from agent.control.addresses import parse_address

    text = target.server or _seen_server(device) or config.control_plane or ""
    return parse_address(text) if text else None


def _seen_server(device: "Callable[[], DeviceSeen]") -> str:
    try:
        return device().server
    except (BucklerError, OSError):
        return ""


def _device_address(device: "Callable[[], DeviceSeen]") -> "Address | None":
    from agent.control.addresses import parse_address

    try:
        text = device().device_server
    except (BucklerError, OSError):
        return None
    return parse_address(text) if text else None


def _walk(address: "Address | None", locations: "Locations", target: Target) -> WaySeen | None:
    if address is None:
        return None
    return walk(address.host, address.port, _authorities(locations, target))


def _knock(address: "Address | None") -> WaySeen | None:
    return knock(address.host, address.port) if address else None


def _authorities(locations: "Locations", target: Target) -> bytes:
    """Those given, else those this device was activated with, else the system's."""
    from agent.control.channel import read_authorities
    from agent.storage.inspection import inspected

    if target.ca is None and locations.database.exists():
        try:
            with inspected(locations.database) as store, store.transaction() as tables:
                enrolment = tables.enrolment.get()
        except BucklerError:
            enrolment = None
        if enrolment is not None and enrolment.authorities_pem:
            return enrolment.authorities_pem
    return read_authorities(target.ca)


def _ask_server(
    way: "Callable[[], WaySeen | None]", locations: "Locations", target: Target, clock: "Clock"
) -> ServerSeen | None:
    from agent.control.addresses import parse_address
    from agent.control.greeting import greet

    walked = way()
    if walked is None or walked.stage is not Stage.THROUGH:
        return None
    try:
        said = greet(parse_address(walked.target), _authorities(locations, target))
    except BucklerError as error:
        return ServerSeen(problem=error)
    return ServerSeen(said.version, said.time, clock.now(), said.oldest_agent)
