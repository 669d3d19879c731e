"""Policies from the wish of a person to what a device is told."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from controlplane.accounts.audit import AuditFilter, newest_entries
from controlplane.licensing.service import Activated
from controlplane.policies import model
from controlplane.policies.delivery import PolicyDelivery
from controlplane.policies.model import AT_ONCE, Assignment, RolloutState, Selector, Stage
from controlplane.policies.rows import Report
from controlplane.policies.service import MOST_LABELS, Change, PolicyService
from controlplane.runtime.paging import Page
from controlplane.runtime.refusal import Refusal
from tests.fakes.world import Customer, World, principal_of
from wire.policy_document import read_toml

EVERYONE = Assignment((Selector(),))
SERVERS = Assignment((Selector(labels=frozenset({"server"})),))
BLOCK = read_toml('[realtime]\nmode = "block"')
DAILY = read_toml('[schedule]\nquick = "daily 12:30"\n[realtime]\nmode = "notify"')
SLOWLY = (Stage(1, timedelta(hours=1)), Stage(100))
#: Of a device that is not among the first percent.
LATE = 4_242


class Household:
    """An organisation with one device."""

    def __init__(self, world: World, customer: Customer, device: Activated) -> None:
        self.world, self.customer = world, customer
        self.principal = principal_of(device)
        self.device_id = self.principal.device_id
        self.service = PolicyService(
            database=world.database, registry=world.registry, audit=world.audit, clock=world.clock
        )
        self.delivery = PolicyDelivery(database=world.database, clock=world.clock)
        self._wishes = 0

    async def change(self, change: Change, key: str = "") -> int:
        self._wishes += 1
        policy = await self.service.change(self.customer.person, change, key or f"wish-{self._wishes:04}")
        return policy.newest.number

    async def apply(self, name: str = "baseline", document: str = '[realtime]\nmode = "block"', **more: object) -> int:
        return await self.change(Change(name=name, document=read_toml(document), **{"assignment": EVERYONE} | more))  # type: ignore[arg-type]

    async def told(self, etag: str = "", report: Report = Report()) -> tuple[str, str] | None:  # noqa: B008 -- frozen
        """Version and validator that a check-in brings; None: nothing new."""
        wanted = await self.delivery.answer(self.principal, etag, report)
        return None if wanted is None else (wanted.version, wanted.etag)

    async def refusal(self, act: Callable[[], object]) -> str:
        with pytest.raises(Refusal) as caught:
            await act()  # type: ignore[misc]
        return caught.value.reason

    async def audited(self) -> list[str]:
        async with self.world.database.reading() as connection:
            entries = await newest_entries(
                connection, self.customer.org_id, AuditFilter(action_prefix="policy."), Page(100)
            )
        return [f"{entry.action} {entry.subject} {entry.details['revision']}" for entry in entries]


@pytest.fixture
async def home(world: World) -> Household:
    customer = await world.customer()
    return Household(world, customer, await world.activate(customer))


async def test_a_device_is_told_once_and_again_only_when_something_changed(home: Household) -> None:
    assert await home.told() is None
    await home.apply()
    told = await home.told()
    assert told is not None
    assert told[0] == "baseline.1"
    assert await home.told(told[1]) is None
    await home.apply(document='[realtime]\nmode = "notify"')
    again = await home.told(told[1])
    assert again is not None
    assert again[0] == "baseline.2"
    await home.service.remove(home.customer.person, "baseline", "no longer", "wish-gone")
    assert await home.told(again[1]) == ("", "")
    assert await home.apply() == 3
    assert sorted(await home.audited()) == [
        "policy.applied baseline 1",
        "policy.applied baseline 2",
        "policy.applied baseline 3",
        "policy.removed baseline 2",
    ]


async def test_labels_narrow_a_policy_and_the_closer_one_wins(home: Household) -> None:
    await home.apply("baseline", '[realtime]\nmode = "notify"\n[schedule]\nquick = "off"')
    await home.apply("servers", '[realtime]\nmode = "block"', assignment=SERVERS)
    told = await home.told()
    assert told is not None
    assert told[0] == "baseline.1"
    view = await home.service.set_labels(
        home.customer.person,
        home.device_id,
        add=frozenset({"server", "site=berlin"}),
        remove=frozenset(),
        idempotency_key="wish-label",
    )
    assert view.labels == {"server", "site=berlin"}
    assert view.desired.document.settings == {"realtime.mode": "block", "schedule.quick": "off"}
    again = await home.told(told[1])
    assert again is not None
    assert again[0] == "servers.1+baseline.1"

    def more() -> object:
        many = frozenset(f"label-{number}" for number in range(MOST_LABELS))
        return home.service.set_labels(
            home.customer.person, home.device_id, add=many, remove=frozenset(), idempotency_key="wish-many"
        )

    assert await home.refusal(more) == "LABELS_TOO_MANY"


async def test_a_revision_is_rolled_out_in_stages_that_can_be_held(
    home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "place_of", lambda _device_id: LATE)
    await home.apply()
    await home.apply(document='[realtime]\nmode = "notify"', stages=SLOWLY)
    told = await home.told()
    assert told is not None
    assert told[0] == "baseline.1"
    held = await home.service.pause(home.customer.person, "baseline")
    assert (held.policy.newest.rollout.state(held.now), held.selected, held.reached) == (RolloutState.PAUSED, 1, 0)
    home.world.clock.advance(timedelta(days=2))
    assert await home.told(told[1]) is None
    await home.service.resume(home.customer.person, "baseline")
    home.world.clock.advance(timedelta(hours=1))
    again = await home.told(told[1], Report(told[0], told[0]))
    assert again is not None
    assert again[0] == "baseline.2"
    assert await home.refusal(lambda: home.service.pause(home.customer.person, "baseline")) == "ROLLOUT_OVER"


async def test_a_rollout_counts_who_has_it_in_force_and_who_refused(home: Household) -> None:
    await home.apply()
    counts = await home.service.rollout(home.customer.org_id, "baseline")
    assert (counts.selected, counts.reached, counts.applied) == (1, 1, 0)
    told = await home.told()
    assert told is not None
    await home.told(told[1], Report("baseline.1", "", "it would leave nothing watched"))
    counts = await home.service.rollout(home.customer.org_id, "baseline")
    assert (counts.applied, counts.refusals) == (0, {home.device_id: "it would leave nothing watched"})
    await home.told(told[1], Report("baseline.1", "baseline.1"))
    counts = await home.service.rollout(home.customer.org_id, "baseline")
    assert (counts.applied, counts.refusals) == (1, {})
    view = await home.service.device(home.customer.org_id, home.device_id)
    assert (view.desired.version, view.report.applied) == ("baseline.1", "baseline.1")


async def test_a_preview_changes_nothing_and_tells_what_would_change(home: Household) -> None:
    change = Change(name="baseline", document=DAILY, assignment=EVERYONE, stages=SLOWLY)
    preview = await home.service.preview(home.customer.org_id, change)
    [effect] = preview.effects
    assert effect.changes == (
        "realtime.mode: as the device has it -> notify",
        "schedule.quick: as the device has it -> daily 12:30",
    )
    assert (effect.device_ids, preview.names, preview.devices) == ((home.device_id,), {home.device_id: "laptop"}, 1)
    assert await home.told() is None
    await home.change(change)
    home.world.clock.advance(timedelta(hours=2))
    assert not (await home.service.preview(home.customer.org_id, change)).effects
    removal = await home.service.preview_removal(home.customer.org_id, "baseline")
    assert removal.effects[0].changes[0] == "realtime.mode: notify -> as the device has it"


async def test_a_repeated_wish_makes_one_revision_and_one_without_sense_none(home: Household) -> None:
    change = Change(name="baseline", document=BLOCK, assignment=EVERYONE)
    assert await home.change(change, "same-wish") == 1
    assert await home.change(change, "same-wish") == 1
    other = Change(name="baseline", document=DAILY, assignment=EVERYONE)
    assert await home.refusal(lambda: home.change(other, "same-wish")) == "IDEMPOTENCY_MISMATCH"
    nobody = Change(name="nobody", assignment=EVERYONE)
    assert await home.refusal(lambda: home.change(nobody)) == "POLICY_NOT_FOUND"
    ended = "[[exclusions]]\nkind='path'\nvalue='/a'\nreason='x'\nexpires_at=2001-01-01T00:00:00Z"
    assert await home.refusal(lambda: home.apply(document=ended)) == "POLICY_INVALID"


async def test_an_assignment_keeps_the_document_and_another_organisation_sees_nothing(home: Household) -> None:
    await home.apply(assignment=Assignment())
    assert await home.told() is None
    await home.change(Change(name="baseline", assignment=EVERYONE, stages=AT_ONCE))
    policy, history = await home.service.get(home.customer.org_id, "baseline")
    assert (policy.newest.document, [revision.number for revision in history]) == (BLOCK, [2, 1])
    other = await home.world.customer()
    assert await home.service.policies(other.org_id) == ()
    assert await home.refusal(lambda: home.service.device(other.org_id, home.device_id)) == "DEVICE_NOT_FOUND"
