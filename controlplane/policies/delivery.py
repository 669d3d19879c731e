"""Policies as devices get them: with each check-in, and only if they have not got them yet."""

from collections import OrderedDict
from typing import Final

from controlplane.policies import rows
from controlplane.policies.model import Effective, Policy, Target, effective
from controlplane.policies.rows import Report
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.database import Database

#: Organisations whose policies are kept in memory.
_MOST_KEPT: Final = 1_000


class PolicyDelivery:
    """What a check-in needs of policies.

    One short query tells whether the policies of an organisation changed since they were read; they stay in memory
    until they do. A row is written only when what a device says differs from what it said before.

    Args:
        database: The database.
        clock: Business time.
    """

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._kept: OrderedDict[str, tuple[int, tuple[Policy, ...]]] = OrderedDict()

    async def answer(self, principal: DevicePrincipal, etag: str, report: Report) -> Effective | None:
        """What the device should have; None: what it has.

        Args:
            principal: The device.
            etag: Of what it was given last.
            report: What it says of that.
        """
        org_id, device_id = principal.org_id, principal.device_id
        async with self._database.reading() as connection:
            generation, known = await rows.generation_and_report(connection, org_id, device_id)
            policies: tuple[Policy, ...] = ()
            labels: frozenset[str] = frozenset()
            if generation:
                kept_generation, policies = self._kept.get(org_id, (0, ()))
                if kept_generation != generation:
                    policies = await rows.live_policies(connection, org_id)
                    self._keep(org_id, generation, policies)
            if _asks_for_labels(policies):
                labels = (await rows.labels_of(connection, org_id, [device_id])).get(device_id, frozenset())
        now = self._clock.now()
        if report != known and generation:
            async with self._database.transaction() as uow:
                await rows.store_report(uow, org_id, device_id, report, now)
        wanted = effective(policies, Target(device_id, labels), now)
        return None if wanted.etag == etag else wanted

    def _keep(self, org_id: str, generation: int, policies: tuple[Policy, ...]) -> None:
        self._kept[org_id] = generation, policies
        self._kept.move_to_end(org_id)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)


def _asks_for_labels(policies: tuple[Policy, ...]) -> bool:
    return any(
        selector.labels
        for policy in policies
        for revision in policy.revisions
        for selector in revision.assignment.selectors
    )
