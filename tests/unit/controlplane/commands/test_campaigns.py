"""One command for many devices, a few each minute."""

from datetime import timedelta

import pytest

from controlplane.commands.campaigns import CampaignView, CampaignWish
from controlplane.commands.kinds.register import KINDS
from controlplane.commands.model import CampaignState, CommandReport, CommandState
from controlplane.commands.service import CommandWish
from controlplane.licensing.service import Activated
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import PersonPrincipal, Role
from controlplane.runtime.refusal import Refusal
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import Customer, World, principal_of

MINUTE = timedelta(minutes=1)


async def fleet(world: World, count: int) -> tuple[Customer, list[Activated]]:
    customer = await world.customer(seats=count)
    return customer, [await world.activate(customer, DeviceKey(), name=f"pc {number}") for number in range(count)]


def wish(
    *, key: str = "campaign-1", per_turn: int = 2, stop_after: int = 0, devices: tuple[str, ...] = ()
) -> CampaignWish:
    return CampaignWish(CommandWish(KINDS["scan"], {"what": "quick"}, "", key), devices, per_turn, stop_after)


async def turn(world: World, view: CampaignView) -> int:
    given = await world.campaigns.take_turn(view.campaign.org_id, view.campaign.campaign_id)
    world.clock.advance(MINUTE)
    return given


async def answer(world: World, devices: list[Activated], state: CommandState) -> int:
    """Every device that was given a command answers it."""
    answered = 0
    for device in devices:
        exchange = await world.commands.exchange(principal_of(device), [])
        reports = [CommandReport(each.command_id, state, "", "", {}) for each in exchange.begin]
        if reports:
            await world.commands.exchange(principal_of(device), reports)
        answered += len(reports)
    return answered


async def test_a_campaign_gives_each_device_its_command_within_its_budget(world: World) -> None:
    customer, devices = await fleet(world, 5)
    view = await world.campaigns.request(customer.person, wish())
    assert view.progress.waiting == 5
    assert await answer(world, devices, CommandState.SUCCEEDED) == 0
    for expected in (2, 2, 1):
        assert await turn(world, view) == expected
        assert await answer(world, devices, CommandState.SUCCEEDED) == expected
    done = await world.campaigns.get(customer.org_id, view.campaign.campaign_id)
    assert done.campaign.state is CampaignState.DONE
    assert (done.progress.waiting, dict(done.progress.counts)) == (0, {CommandState.SUCCEEDED: 5})
    assert await turn(world, view) == 0


async def test_too_many_failures_stop_it_and_take_the_rest_back(world: World) -> None:
    customer, devices = await fleet(world, 5)
    view = await world.campaigns.request(customer.person, wish(stop_after=2))
    await turn(world, view)
    await answer(world, devices, CommandState.FAILED)
    assert await turn(world, view) == 0
    stopped = await world.campaigns.get(customer.org_id, view.campaign.campaign_id)
    assert stopped.campaign.state is CampaignState.STOPPED
    assert dict(stopped.progress.counts) == {CommandState.FAILED: 2, CommandState.CANCELLED: 3}
    with pytest.raises(Refusal) as refused:
        await world.campaigns.resume(customer.org_id, view.campaign.campaign_id)
    assert refused.value.reason == "CAMPAIGN_OVER"


async def test_a_paused_campaign_waits_and_goes_on(world: World) -> None:
    customer, _ = await fleet(world, 3)
    view = await world.campaigns.request(customer.person, wish(per_turn=1))
    await turn(world, view)
    for _ in range(2):
        paused = await world.campaigns.pause(customer.org_id, view.campaign.campaign_id)
        assert paused.campaign.state is CampaignState.PAUSED
    assert await turn(world, view) == 0
    await world.campaigns.resume(customer.org_id, view.campaign.campaign_id)
    assert [await turn(world, view), await turn(world, view)] == [1, 1]


async def test_the_same_wish_is_the_same_campaign(world: World) -> None:
    customer, devices = await fleet(world, 2)
    chosen = wish(devices=(devices[0].device.device_id,))
    first = await world.campaigns.request(customer.person, chosen)
    assert first.progress.waiting == 1
    again = await world.campaigns.request(customer.person, chosen)
    assert again.campaign == first.campaign
    with pytest.raises(Refusal) as refused:
        await world.campaigns.request(customer.person, wish(per_turn=9))
    assert refused.value.reason == "IDEMPOTENCY_MISMATCH"
    page = await world.campaigns.page(customer.org_id, Page(10))
    assert [each.campaign for each in page.views] == [first.campaign]


async def test_campaigns_are_for_known_devices_of_the_own_organisation(world: World) -> None:
    customer, _ = await fleet(world, 1)
    stranger, others = await fleet(world, 1)
    with pytest.raises(Refusal) as refused:
        await world.campaigns.request(customer.person, wish(devices=(others[0].device.device_id,)))
    assert refused.value.reason == "DEVICE_NOT_FOUND"
    empty = await world.customer()
    with pytest.raises(Refusal) as refused:
        await world.campaigns.request(empty.person, wish())
    assert refused.value.reason == "CAMPAIGN_EMPTY"
    support = PersonPrincipal("usr_2", customer.org_id, Role.VIEWER, "tok_2")
    with pytest.raises(Refusal) as refused:
        await world.campaigns.request(support, wish())
    assert refused.value.reason == "ROLE_MISSING"
    view = await world.campaigns.request(customer.person, wish())
    for steer in (world.campaigns.get, world.campaigns.pause, world.campaigns.stop):
        with pytest.raises(Refusal) as refused:
            await steer(stranger.org_id, view.campaign.campaign_id)
        assert refused.value.reason == "CAMPAIGN_NOT_FOUND"
