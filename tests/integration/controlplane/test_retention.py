"""Old rows go in steps, on both databases, and what they were counted in stays right."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text

from controlplane.accounts.tables import audit
from controlplane.accounts.tokens import Tokens
from controlplane.detections.dead_reports import DeadReport, DeadReports
from controlplane.detections.incidents import IncidentView
from controlplane.detections.model import Finding, IncidentStatus, ReportedIncident
from controlplane.detections.tables import detections
from controlplane.devices.fleet.overview import DeviceFilter
from controlplane.retention.rules import RULES, periods_of
from controlplane.retention.service import PASS_EVERY, Retention
from controlplane.runtime.clock import TenantClock
from controlplane.runtime.idempotency import RequestKey, claim, remember
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import DevicePrincipal, Role
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.tables import sandbox_clocks
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.every_table import load_every_table
from tests.fakes.world import Customer, World, principal_of

load_every_table()

DETECTIONS = [rule for rule in RULES if rule.name in {"detections", "incidents"}]
KEPT = timedelta(days=400)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path)


def retention_in(world: World, settings: Mapping[str, int | str] | None = None) -> Retention:
    return Retention(database=world.database, times=world.times, clock=world.clock, periods=periods_of(settings or {}))


def found(number: int, threat: str) -> ReportedIncident:
    return ReportedIncident(
        uuid=number.to_bytes(16, "big"),
        detected_at=SOME_MONDAY,
        path=b"/tmp/x",
        sha256="0" * 64,
        size_bytes=68,
        findings=(Finding("Rule", "default", "high", (), threat),),
        action="quarantined",
        action_detail="",
        origin="scan",
        engine="yara",
        signatures_version="1",
        quarantine_id="",
    )


async def count(world: World, table: Any) -> int:
    async with world.database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


async def incidents_of(world: World, customer: Customer) -> dict[str, IncidentView]:
    page = await world.incidents.page(customer.org_id, Page(size=50))
    return {view.incident.threat: view for view in page.views}


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


async def reported(world: World, threats: Mapping[str, int]) -> tuple[Customer, DevicePrincipal]:
    customer = await world.customer()
    device = principal_of(await world.activate(customer))
    number = 0
    for threat, times in threats.items():
        for _ in range(times):
            number += 1
            await world.detections.report(device, [found(number, threat)], {})
    return customer, device


async def test_incidents_and_counters_keep_their_numbers_when_detections_go(world: World) -> None:
    customer, device = await reported(world, {"open": 3, "resolved": 2, "false": 1})
    judged = {"resolved": IncidentStatus.RESOLVED, "false": IncidentStatus.FALSE_POSITIVE}
    for threat, status in judged.items():
        incident_id = (await incidents_of(world, customer))[threat].incident.incident_id
        await world.incidents.set_status(customer.person, incident_id, status, "")
    world.clock.advance(KEPT)
    await world.detections.report(device, [found(100, "open")], {})
    fleet = await world.fleet.page(customer.org_id, Page(size=9), DeviceFilter())
    retention = retention_in(world)
    assert (await retention.preview(DETECTIONS))["detections"] == 0, "not before its time is over"
    world.clock.advance(timedelta(seconds=1))
    assert (await retention.preview(DETECTIONS))["detections"] == 6
    assert await retention.run(rows=None) == {rule.name: 0 for rule in RULES} | {"detections": 6, "incidents": 1}
    left = await incidents_of(world, customer)
    assert {threat: (view.devices, view.detections) for threat, view in left.items()} == {
        "open": (1, 4),
        "false": (1, 1),
    }
    assert await count(world, detections) == 1
    assert await world.detections.count_recent(customer.org_id) == 1
    assert await world.fleet.page(customer.org_id, Page(size=9), DeviceFilter()) == fleet
    # A resolved threat that comes back is a new incident.
    await world.detections.report(device, [found(101, "resolved")], {})
    assert (await incidents_of(world, customer))["resolved"].detections == 1


async def test_a_run_goes_on_where_the_one_before_stopped_and_then_rests(world: World) -> None:
    for _ in range(3):
        await reported(world, {"a": 2, "b": 2})
    world.clock.advance(KEPT + timedelta(days=1))
    small = [replace(rule, at_once=1) for rule in RULES if rule.name == "detections"]
    retention = retention_in(world)
    taken = [(await retention.run(rows=5, rules=small)).get("detections", 0) for _ in range(4)]
    assert taken == [5, 5, 2, 0]
    standing = next(each for each in await retention.standings() if each.rule.name == "detections")
    assert (standing.deleted, standing.oldest_at) == (12, None)
    await reported(world, {"c": 1})
    world.clock.advance(KEPT + timedelta(days=1))
    assert sum((await retention.run(rules=small)).values()) == 1
    world.clock.advance(PASS_EVERY - timedelta(seconds=1))
    assert sum((await retention.run(rules=small)).values()) == 0


async def test_sandboxes_forget_at_their_own_time_and_what_is_kept_for_ever_stays(world: World) -> None:
    await reported(world, {"a": 1})
    sandbox, _ = await reported(world, {"a": 1})
    async with world.database.transaction() as uow:
        ahead = insert(sandbox_clocks).values(org_id=sandbox.org_id, offset_us=_us(KEPT) + 1)
        await uow.connection.execute(ahead)
    # The world remembers it as a real one, which it was when it was asked.
    clock = TenantClock(world.clock)
    retention = Retention(database=world.database, times=TenantTimes(world.database), clock=clock)
    assert (await retention.preview(DETECTIONS))["detections"] == 1
    assert sum((await retention.run(rows=None, rules=DETECTIONS)).values()) == 1
    assert await world.detections.count_recent(sandbox.org_id) == 0
    world.clock.advance(KEPT + timedelta(days=1))
    forever = {"detections": "forever", "incidents": "forever"}
    assert sum((await retention_in(world, forever).run(rows=None)).values()) == 0
    assert await count(world, detections) == 1


async def test_a_sandbox_that_leaps_ahead_signs_nobody_out(world: World) -> None:
    """Found by a program whose session was gone after `sandbox advance`: tokens end by the machine's time."""
    customer = await world.customer()
    tokens = Tokens(database=world.database, wall=world.clock, randomness=SystemRandomness(), audit=world.audit)
    async with world.database.transaction() as uow:
        await uow.connection.execute(insert(sandbox_clocks).values(org_id=customer.org_id, offset_us=_us(4 * KEPT)))
        person = await world.accounts.create_person(
            uow, org_id=customer.org_id, email="a@example.org", password_hash="x", role=Role.OWNER
        )
        session = await tokens.open_session(uow, org_id=customer.org_id, user_id=person.user_id, name="here")
    clock = TenantClock(world.clock)
    retention = Retention(database=world.database, times=TenantTimes(world.database), clock=clock)
    assert (await retention.run(rows=None))["tokens"] == 0
    assert (await tokens.authenticate(session.text)).user_id == person.user_id
    world.clock.advance(session.expires_at - world.clock.now() + timedelta(days=91))
    assert (await retention.run(rows=None))["tokens"] == 1


async def test_a_sandbox_that_is_ahead_makes_no_request_of_people_a_new_one(world: World) -> None:
    """Who is invited, and tokens for programs, are remembered by the machine's time."""
    customer = await world.customer()
    key = RequestKey(org_id=customer.org_id, caller="user:1", method="accounts.add_person", key="12345678")
    async with world.database.transaction() as uow:
        await uow.connection.execute(insert(sandbox_clocks).values(org_id=customer.org_id, offset_us=_us(KEPT)))
        assert await claim(uow, key, b"x", world.clock.now()) is None
        await remember(uow, key, b"answer")
    clock = TenantClock(world.clock)
    retention = Retention(database=world.database, times=TenantTimes(world.database), clock=clock)
    assert (await retention.run(rows=None))["answers"] == 0
    async with world.database.transaction() as uow:
        assert await claim(uow, key, b"x", world.clock.now()) == b"answer"


async def test_reports_that_are_nobodys_go_as_well(world: World) -> None:
    dead = DeadReports(world.database, world.detections, world.sealing_key, world.times)
    customer = await world.customer()
    for org_id in ("", customer.org_id):
        report = DeadReport(org_id, "rep_1", "", world.clock.now(), "SEAL_BROKEN", "it is not ours")
        assert await dead.keep(report, b"x")
    rules = [rule for rule in RULES if rule.name == "dead_reports"]
    retention = retention_in(world)
    assert await retention.run(rules=rules) == {"dead_reports": 0}
    assert (await retention.standings())[-1].oldest_at == world.clock.now()
    world.clock.advance(timedelta(days=91))
    assert await retention.preview(rules) == {"dead_reports": 2}
    # One at a time: what is nobody's comes first.
    assert [await retention.run(rows=1, rules=[replace(rules[0], at_once=1)]) for _ in range(3)] == [
        {"dead_reports": 1},
        {"dead_reports": 1},
        {"dead_reports": 0},
    ]
    assert await dead.list_all() == []


async def test_answers_to_repeated_requests_go_and_the_audit_of_a_year_cannot(world: World) -> None:
    customer = await world.customer()
    key = RequestKey(org_id=customer.org_id, caller="user:1", method="m", key="12345678")
    async with world.database.transaction() as uow:
        assert await claim(uow, key, b"x", world.clock.now()) is None
        await remember(uow, key, b"answer")
        now_us = "extract(epoch FROM now())" if world.database.url.startswith("postgres") else "strftime('%s', 'now')"
        for number, (days, action) in enumerate([(366, "a.b"), (364, "a.b"), (366, "seat.claimed")]):
            old = text(
                "INSERT INTO audit (org_id, audit_id, at, actor, action, subject, details, request_id) VALUES "
                f"('{customer.org_id}', 'old_{number}', (CAST({now_us} AS BIGINT) - {days} * 86400) * 1000000, "
                f"'system', '{action}', '', '{{}}', '')"
            )
            await uow.connection.execute(old)
    world.clock.advance(timedelta(days=365 * 2))
    gone = await retention_in(world, {"audit": 700}).run(rows=None, rules=[r for r in RULES if r.name == "answers"])
    assert gone == {"answers": 1}
    only_old = audit.c.audit_id.in_(["old_0", "old_2"]) & (audit.c.action == "a.b")
    async with world.database.transaction() as uow:
        await uow.connection.execute(audit.delete().where(only_old))
    with pytest.raises(Exception, match="only ever grows"):
        async with world.database.transaction() as uow:
            await uow.connection.execute(audit.delete().where(audit.c.audit_id == "old_1"))
