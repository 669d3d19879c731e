"""What the control plane does at its own instants: every kind of durable job, and who does it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from controlplane.app import Billing, ControlPlane, Lives
from controlplane.billing.payments import COLLECT_INVOICE, SETTLE_PAYMENT
from controlplane.billing.refunds.refunds import SUBMIT_REFUND
from controlplane.catalog.service import VERSION_APPLIED
from controlplane.commands.campaigns import TAKE_TURN
from controlplane.commands.service import END_OVERDUE
from controlplane.devices.fleet.counters import SETTLE_FLEETS
from controlplane.devices.fleet.expiry import EXPIRE
from controlplane.diagnostics.service import DESTROY_EXPIRED
from controlplane.licensing.allotments import SETTLE_SURPLUS
from controlplane.notices.service import DELIVER_NOTICE
from controlplane.retention.rules import Periods
from controlplane.retention.service import FORGET, Retention
from controlplane.runtime.attempts import forget_full
from controlplane.runtime.jobs.queue import Handler, Job, ensure_recurring
from controlplane.runtime.jobs.runner import JobRunner
from controlplane.runtime.randomness import new_id
from controlplane.subscriptions.charging import DROP_PURCHASE, NEXT_STEP
from controlplane.webhooks.service import DELIVER

#: Signs entitlements that a crash left planned: step 6 of docs/paths/activation.md.
SWEEP_ENTITLEMENTS: Final = "licensing.sweep_entitlements"
SWEEP_EVERY: Final = timedelta(minutes=1)
#: Compares the provider's charges with ours; ADR 21.
COMPARE_CHARGES: Final = "billing.compare_charges"
COMPARE_CHARGES_EVERY: Final = timedelta(days=1)
#: Ends commands that nobody fetched or answered.
END_OVERDUE_EVERY: Final = timedelta(minutes=1)
#: Destroys diagnostics bundles whose time is over.
DESTROY_EXPIRED_EVERY: Final = timedelta(hours=1)
#: Most devices that are due are so because they fell silent: how late the summary may notice if nobody looks at it.
SETTLE_FLEETS_EVERY: Final = timedelta(seconds=15)
#: Hides devices that nobody has seen for months; looks at every report.
EXPIRE_EVERY: Final = timedelta(hours=6)
#: Deletes what is no longer kept, `ROWS_PER_RUN` rows at most.
FORGET_EVERY: Final = timedelta(minutes=1)


async def arm_jobs(plane: ControlPlane) -> None:
    """Have every recurring job run, and every subscription looked at: what a program that runs jobs does first."""
    async with plane.database.transaction() as uow:
        now = plane.clocks.wall.now()
        await ensure_recurring(uow, kind=SWEEP_ENTITLEMENTS, every=SWEEP_EVERY, first_at=now)
        await ensure_recurring(uow, kind=END_OVERDUE, every=END_OVERDUE_EVERY, first_at=now)
        await ensure_recurring(uow, kind=DESTROY_EXPIRED, every=DESTROY_EXPIRED_EVERY, first_at=now)
        await ensure_recurring(uow, kind=SETTLE_FLEETS, every=SETTLE_FLEETS_EVERY, first_at=now)
        await ensure_recurring(uow, kind=EXPIRE, every=EXPIRE_EVERY, first_at=now)
        await ensure_recurring(uow, kind=FORGET, every=FORGET_EVERY, first_at=now)
        await ensure_recurring(uow, kind=COMPARE_CHARGES, every=COMPARE_CHARGES_EVERY, first_at=now)
    await plane.lives.lifecycle.arm_everything()


def job_runner(plane: ControlPlane, owner: str, periods: Periods | None = None) -> JobRunner:
    """The runner of every durable job.

    Args:
        plane: What the jobs are about.
        owner: Names this process among the replicas.
        periods: How long what grows is kept; None: as long as the rules say themselves.
    """
    return JobRunner(
        database=plane.database,
        wall=plane.clocks.wall,
        owner=owner,
        handlers={**_job_handlers(plane), FORGET: _forget(retention_of(plane, periods))},
        times=plane.times,
    )


def retention_of(plane: ControlPlane, periods: Periods | None = None) -> Retention:
    """What deletes old rows."""
    return Retention(database=plane.database, times=plane.times, clock=plane.clocks.business, periods=periods)


def _forget(retention: Retention) -> Handler:
    async def forget(_job: Job) -> None:
        await retention.run()

    return forget


def outward_runner(plane: ControlPlane) -> JobRunner:
    """The runner of jobs that wait for systems of others: apart, so that a slow one keeps nobody's money waiting."""

    async def deliver(job: Job) -> None:
        await plane.findings.webhooks.deliver(job.org_id, job.subject)

    return JobRunner(
        database=plane.database,
        wall=plane.clocks.wall,
        owner=new_id(plane.randomness, "out"),
        handlers={DELIVER: deliver},
        times=plane.times,
    )


def _job_handlers(plane: ControlPlane) -> Mapping[str, Handler]:
    async def sweep_entitlements(_job: Job) -> None:
        await plane.issuer.sweep()
        async with plane.database.transaction() as uow:
            await forget_full(uow, plane.clocks.wall.now())

    async def settle_surplus(job: Job) -> None:
        await plane.seating.settle_surplus(job.org_id, job.subject)

    async def end_overdue(_job: Job) -> None:
        # Sandboxes first, at their own times: by now nothing of theirs is overdue.
        for org_id in await plane.times.sandboxes():
            async with plane.times.of(org_id):
                await plane.commands.end_overdue(org_id)
        await plane.commands.end_overdue()

    async def destroy_expired(_job: Job) -> None:
        for org_id in await plane.times.sandboxes():
            async with plane.times.of(org_id):
                await plane.diagnostics.destroy_expired(org_id)
        await plane.diagnostics.destroy_expired()

    async def take_turn(job: Job) -> None:
        await plane.campaigns.take_turn(job.org_id, job.subject)

    async def settle_fleets(_job: Job) -> None:
        await plane.fleet.counters.settle()
        await plane.fleet.counters.add_up()

    async def expire_devices(_job: Job) -> None:
        for org_id in await plane.times.sandboxes():
            async with plane.times.of(org_id):
                await plane.findings.expiry.sweep(org_id)
        await plane.findings.expiry.sweep()

    return {
        SETTLE_FLEETS: settle_fleets,
        EXPIRE: expire_devices,
        END_OVERDUE: end_overdue,
        DESTROY_EXPIRED: destroy_expired,
        TAKE_TURN: take_turn,
        SWEEP_ENTITLEMENTS: sweep_entitlements,
        SETTLE_SURPLUS: settle_surplus,
        **billing_jobs(plane.billing),
        **lives_jobs(plane.lives),
    }


def lives_jobs(lives: Lives) -> Mapping[str, Handler]:
    """What subscriptions and notices do at their own instants."""

    async def next_step(job: Job) -> None:
        await lives.lifecycle.advance(job.org_id, job.subject)

    async def version_applied(_job: Job) -> None:
        await lives.lifecycle.arm_everything()

    async def drop_purchase(job: Job) -> None:
        await lives.charging.drop_late(job.org_id, job.subject)

    async def deliver_notice(job: Job) -> None:
        await lives.notices.deliver(job.org_id, job.subject)

    return {
        NEXT_STEP: next_step,
        DROP_PURCHASE: drop_purchase,
        DELIVER_NOTICE: deliver_notice,
        VERSION_APPLIED: version_applied,
    }


def billing_jobs(billing: Billing) -> Mapping[str, Handler]:
    """What billing does at its own instants."""

    async def settle_payment(job: Job) -> None:
        await billing.payments.settle(job.org_id, job.subject)

    async def collect_invoice(job: Job) -> None:
        await billing.payments.collect(job.org_id, job.subject, job.due_at)

    async def submit_refund(job: Job) -> None:
        await billing.refunds.submit(job.org_id, job.subject)

    async def compare_charges(_job: Job) -> None:
        await billing.payments.compare()

    return {
        SETTLE_PAYMENT: settle_payment,
        COLLECT_INVOICE: collect_invoice,
        SUBMIT_REFUND: submit_refund,
        COMPARE_CHARGES: compare_charges,
    }
