"""Policies as people work with them: revisions, for whom they are, how far they are, and what a change would do."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.devices.registry import DeviceRegistry
from controlplane.policies import rows
from controlplane.policies.delivery import PolicyDelivery
from controlplane.policies.errors import (
    policy_invalid,
    policy_not_found,
    rollout_over,
    too_many_labels,
    too_many_policies,
)
from controlplane.policies.model import (
    AT_ONCE,
    Assignment,
    Decider,
    Effect,
    Effective,
    Policy,
    Revision,
    Rollout,
    RolloutState,
    Stage,
    Target,
    effective,
    effects,
    is_reached,
    specificity_of,
    version_of,
    with_change,
)
from controlplane.policies.rows import Report
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import PersonPrincipal
from controlplane.runtime.repeatable import Repeatable
from controlplane.storage.database import Database, UnitOfWork
from wire.policy_document import PolicyDocument

MOST_POLICIES: Final = 200
MOST_LABELS: Final = 50
MOST_REVISIONS_SHOWN: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A new revision that somebody wants; read and checked.

    Attributes:
        name: Of the policy.
        document: None: as before.
        assignment: None: as before.
        stages: In which it reaches devices.
        reason: For the audit.
    """

    name: str
    document: PolicyDocument | None = None
    assignment: Assignment | None = None
    stages: tuple[Stage, ...] = AT_ONCE
    reason: str = ""

    def parts(self) -> tuple[str, ...]:
        """Everything that decides its outcome."""
        selectors = None
        if self.assignment is not None:
            selectors = [[each.device_id, sorted(each.labels)] for each in self.assignment.selectors]
        priority = str(self.assignment.priority) if self.assignment else ""
        stages = [[stage.percent, stage.soak.total_seconds()] for stage in self.stages]
        document = self.document.canonical().decode() if self.document else ""
        return self.name, document, json.dumps(selectors), priority, json.dumps(stages), self.reason


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change would do once it has reached everyone.

    Attributes:
        effects: The most frequent first.
        names: Of the devices in them, by id.
        devices: Active devices in all.
    """

    effects: tuple[Effect, ...]
    names: Mapping[str, str]
    devices: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the newest revision of a policy is; counts of devices, and why some refused it, by id."""

    policy: Policy
    selected: int
    reached: int
    applied: int
    refusals: Mapping[str, str]
    now: datetime


@dataclass(frozen=True, slots=True)
class DeviceView:
    """What a device should have, and what it says it has."""

    device_id: str
    labels: frozenset[str]
    desired: Effective
    report: Report


class PolicyService:
    """The use cases.

    Args:
        database: The database.
        registry: The rows of devices.
        audit: Records every change, in its transaction.
        clock: Business time.
    """

    def __init__(self, *, database: Database, registry: DeviceRegistry, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._registry = registry
        self._audit = audit
        self._clock = clock
        #: The part of check-ins.
        self.delivery = PolicyDelivery(database=database, clock=clock)

    # ------------------------------------------------------------ looking

    def now(self) -> datetime:
        """Business time."""
        return self._clock.now()

    async def policies(self, org_id: str) -> tuple[Policy, ...]:
        """Every policy, by name."""
        async with self._database.reading() as connection:
            return await rows.live_policies(connection, org_id)

    async def get(self, org_id: str, name: str) -> tuple[Policy, tuple[Revision, ...]]:
        """A policy and its history, the newest revision first.

        Raises:
            Refusal: `POLICY_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            policy = _named(await rows.live_policies(connection, org_id), name)
            return policy, await rows.history(connection, org_id, name, MOST_REVISIONS_SHOWN)

    async def rollout(self, org_id: str, name: str) -> Progress:
        """How far the newest revision is.

        Raises:
            Refusal: `POLICY_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            policies = await rows.live_policies(connection, org_id)
            policy = _named(policies, name)
            targets = await self._targets(connection, org_id)
            reports = await rows.reports_of(connection, org_id)
        return await asyncio.to_thread(_progress, policies, policy, targets, reports, self._clock.now())

    async def device(self, org_id: str, device_id: str) -> DeviceView:
        """What a device should have now.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            await self._registry.find(connection, org_id, device_id)
            return await self._view(connection, org_id, device_id)

    # ------------------------------------------------------------ changing

    async def preview(self, org_id: str, change: Change) -> Preview:
        """What a change would do; nothing is changed.

        Raises:
            Refusal: `POLICY_NOT_FOUND`, `POLICY_INVALID` or `POLICIES_TOO_MANY`.
        """
        async with self._database.reading() as connection:
            policies = await rows.live_policies(connection, org_id)
            changed = _next(policies, change, await rows.place_of(connection, org_id, change.name), self._clock.now())
            return await self._preview(connection, org_id, policies, with_change(policies, change.name, changed))

    async def preview_removal(self, org_id: str, name: str) -> Preview:
        """What a removal would do; nothing is changed.

        Raises:
            Refusal: `POLICY_NOT_FOUND`.
        """
        async with self._database.reading() as connection:
            policies = await rows.live_policies(connection, org_id)
            _named(policies, name)
            return await self._preview(connection, org_id, policies, with_change(policies, name, None))

    async def change(self, person: PersonPrincipal, change: Change, idempotency_key: str) -> Policy:
        """Make a new revision and begin to roll it out.

        Raises:
            Refusal: `POLICY_NOT_FOUND`, `POLICY_INVALID`, `POLICIES_TOO_MANY`, `IDEMPOTENCY_KEY_INVALID` or
                `IDEMPOTENCY_MISMATCH`.
        """
        org_id, now = person.org_id, self._clock.now()
        request = Repeatable(person, "policies.change", idempotency_key, *change.parts())
        async with self._database.transaction() as uow:
            if await request.answered(uow, now) is None:
                await rows.open_book(uow, org_id)
                policies = await rows.live_policies(uow.connection, org_id)
                place = await rows.place_of(uow.connection, org_id, change.name)
                revision = replace(_next(policies, change, place, now), author=person.actor)
                await self._supersede(uow, org_id, policies, revision, now)
                await self._record(uow, org_id, "applied" if change.document else "assigned", revision)
                await request.remember(uow, revision=str(revision.number))
            return _named(await rows.live_policies(uow.connection, org_id), change.name)

    async def remove(self, person: PersonPrincipal, name: str, reason: str, idempotency_key: str) -> None:
        """Take a policy from every device at once.

        Raises:
            Refusal: `POLICY_NOT_FOUND`, `IDEMPOTENCY_KEY_INVALID` or `IDEMPOTENCY_MISMATCH`.
        """
        now = self._clock.now()
        request = Repeatable(person, "policies.remove", idempotency_key, name, reason)
        async with self._database.transaction() as uow:
            if await request.answered(uow, now) is not None:
                return
            await rows.open_book(uow, person.org_id)
            policy = _named(await rows.live_policies(uow.connection, person.org_id), name)
            await rows.mark_removed(uow, person.org_id, name, now)
            await self._record(uow, person.org_id, "removed", replace(policy.newest, reason=reason))
            await request.remember(uow)

    async def pause(self, person: PersonPrincipal, name: str) -> Progress:
        """Let the newest revision reach nobody else; whom it has reached keeps it.

        Raises:
            Refusal: `POLICY_NOT_FOUND` or `ROLLOUT_OVER`.
        """
        return await self._steer(person, name, RolloutState.PAUSED)

    async def resume(self, person: PersonPrincipal, name: str) -> Progress:
        """Let it go on.

        Raises:
            Refusal: `POLICY_NOT_FOUND` or `ROLLOUT_OVER`.
        """
        return await self._steer(person, name, RolloutState.RUNNING)

    async def set_labels(
        self,
        person: PersonPrincipal,
        device_id: str,
        *,
        add: frozenset[str],
        remove: frozenset[str],
        idempotency_key: str,
    ) -> DeviceView:
        """Give a device labels and take others from it.

        Raises:
            Refusal: `DEVICE_NOT_FOUND`, `LABELS_TOO_MANY`, `IDEMPOTENCY_KEY_INVALID` or `IDEMPOTENCY_MISMATCH`.
        """
        org_id, now = person.org_id, self._clock.now()
        parts = (device_id, json.dumps([sorted(add), sorted(remove)]))
        request = Repeatable(person, "policies.set_labels", idempotency_key, *parts)
        async with self._database.transaction() as uow:
            if await request.answered(uow, now) is None:
                await self._registry.lock(uow, org_id, device_id)
                present = (await rows.labels_of(uow.connection, org_id, [device_id])).get(device_id, frozenset())
                if len((present - remove) | add) > MOST_LABELS:
                    raise too_many_labels(MOST_LABELS)
                await rows.change_labels(uow, org_id, device_id, add=add, remove=remove)
                details = {"added": ", ".join(sorted(add)), "removed": ", ".join(sorted(remove))}
                await self._audit.record(
                    uow, org_id=org_id, action="device.labelled", subject=device_id, details=details
                )
                await request.remember(uow)
            return await self._view(uow.connection, org_id, device_id)

    # ------------------------------------------------------------ parts of these

    async def _supersede(
        self, uow: UnitOfWork, org_id: str, policies: Sequence[Policy], revision: Revision, now: datetime
    ) -> None:
        """The revision before stays where it is; those that nobody can be at any more become history."""
        before = next((policy.newest for policy in policies if policy.newest.name == revision.name), None)
        if before is None:
            await rows.add_revision(uow, org_id, revision, oldest=revision.number)
            return
        place = await rows.place_of(uow.connection, org_id, revision.name)
        assert place is not None, "a live policy has a row"
        complete = before.rollout.state(now) is RolloutState.COMPLETE
        await rows.store_rollout(uow, org_id, replace(before, rollout=before.rollout.taken_over(now)), now)
        await rows.add_revision(uow, org_id, revision, oldest=before.number if complete else place.oldest)

    async def _steer(self, person: PersonPrincipal, name: str, wanted: RolloutState) -> Progress:
        now = self._clock.now()
        async with self._database.transaction() as uow:
            await rows.open_book(uow, person.org_id)
            newest = _named(await rows.live_policies(uow.connection, person.org_id), name).newest
            state = newest.rollout.state(now)
            if state not in {RolloutState.RUNNING, RolloutState.PAUSED}:
                raise rollout_over(state.value)
            if state is not wanted:
                rollout = newest.rollout
                rollout = rollout.paused(now) if wanted is RolloutState.PAUSED else rollout.resumed(now)
                changed = replace(newest, rollout=rollout)
                await rows.store_rollout(uow, person.org_id, changed, now)
                what = "rollout_paused" if wanted is RolloutState.PAUSED else "rollout_resumed"
                await self._record(uow, person.org_id, what, replace(changed, reason=""))
        return await self.rollout(person.org_id, name)

    async def _preview(
        self, connection: AsyncConnection, org_id: str, before: Sequence[Policy], after: Sequence[Policy]
    ) -> Preview:
        devices = await self._registry.active_of(connection, org_id)
        labels = await rows.labels_of(connection, org_id)
        targets = [Target(device.device_id, labels.get(device.device_id, frozenset())) for device in devices]
        # In a thread: a large fleet takes a second, and devices go on checking in meanwhile.
        found = await asyncio.to_thread(effects, before, after, targets, self._clock.now())
        concerned = {device_id for effect in found for device_id in effect.device_ids}
        names = {device.device_id: device.name for device in devices if device.device_id in concerned}
        return Preview(found, names, len(devices))

    async def _targets(self, connection: AsyncConnection, org_id: str) -> list[Target]:
        labels = await rows.labels_of(connection, org_id)
        devices = await self._registry.active_of(connection, org_id)
        return [Target(device.device_id, labels.get(device.device_id, frozenset())) for device in devices]

    async def _view(self, connection: AsyncConnection, org_id: str, device_id: str) -> DeviceView:
        labels = (await rows.labels_of(connection, org_id, [device_id])).get(device_id, frozenset())
        desired = effective(await rows.live_policies(connection, org_id), Target(device_id, labels), self._clock.now())
        reports = await rows.reports_of(connection, org_id, [device_id])
        return DeviceView(device_id, labels, desired, reports.get(device_id, Report()))

    async def _record(self, uow: UnitOfWork, org_id: str, what: str, revision: Revision) -> None:
        details = {
            "revision": str(revision.number),
            "percent": str(revision.rollout.percent(self._clock.now())),
            "reason": revision.reason,
        }
        await self._audit.record(uow, org_id=org_id, action=f"policy.{what}", subject=revision.name, details=details)


def _named(policies: Iterable[Policy], name: str) -> Policy:
    for policy in policies:
        if policy.newest.name == name:
            return policy
    raise policy_not_found(name)


def _next(policies: Sequence[Policy], change: Change, place: rows.Place | None, now: datetime) -> Revision:
    """The revision that a change means; its number follows those of a removed policy of the same name."""
    before = next((policy.newest for policy in policies if policy.newest.name == change.name), None)
    if before is None and change.document is None:
        raise policy_not_found(change.name)
    if before is None and len(policies) >= MOST_POLICIES:
        raise too_many_policies(MOST_POLICIES)
    document = change.document if change.document is not None else (before.document if before else PolicyDocument())
    for exclusion in change.document.exclusions if change.document else ():
        if exclusion.expires_at is not None and exclusion.expires_at <= now:
            raise policy_invalid("exclusions", f"has one that ended in the past: {exclusion.kind} {exclusion.value}")
    return Revision(
        name=change.name,
        number=1 if place is None else place.newest + 1,
        document=document,
        assignment=change.assignment or (before.assignment if before else Assignment()),
        rollout=Rollout(change.stages, running_since=now),
        reason=change.reason,
        made_at=now,
    )


def _progress(
    policies: Sequence[Policy],
    policy: Policy,
    targets: Iterable[Target],
    reports: Mapping[str, Report],
    now: datetime,
) -> Progress:
    newest, percent = policy.newest, policy.newest.rollout.percent(now)
    selected = [target for target in targets if specificity_of(newest.assignment, target) is not None]
    reached = [target for target in selected if is_reached(target.device_id, percent)]
    applied, refusals, decider = 0, {}, Decider(policies, now)
    for target in reached:
        report = reports.get(target.device_id, Report())
        version = version_of([revision.label for revision in decider.revisions_for(target)])
        if newest.label in report.applied.split("+") or report.applied == version:
            applied += 1
        elif report.refusal and (newest.label in report.desired.split("+") or report.desired == version):
            refusals[target.device_id] = report.refusal
    return Progress(policy, len(selected), len(reached), applied, refusals, now)
