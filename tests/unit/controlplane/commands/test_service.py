"""Commands from the wish of a person to the answer of a device."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from controlplane.commands.kinds.register import KINDS, read_arguments, read_kind
from controlplane.commands.model import CommandReport, CommandState
from controlplane.commands.rows import CommandFilter
from controlplane.commands.service import CommandWish
from controlplane.licensing.service import Activated
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import PersonPrincipal, Role
from controlplane.runtime.refusal import Refusal
from controlplane.storage.news import News
from tests.fakes.world import Customer, World, principal_of

if TYPE_CHECKING:
    from collections.abc import Mapping

QUICK = {"what": "quick"}


def wish(key: str = "wish-0001", kind: str = "scan", arguments: dict[str, str] | None = None) -> CommandWish:
    return CommandWish(KINDS[kind], QUICK if arguments is None else arguments, "Friday's check", key)


def report(command_id: str, state: CommandState, code: str = "", **result: str) -> CommandReport:
    return CommandReport(command_id, state, code, "", result)


async def states(world: World, customer: Customer) -> list[str]:
    page = await world.commands.page(customer.org_id, Page(100), CommandFilter())
    return [named.command.state.value for named in page.commands]


async def asked(world: World) -> tuple[Customer, Activated, str]:
    """A device that was asked for a quick scan: customer, device, id of the command."""
    customer = await world.customer()
    device = await world.activate(customer)
    named = await world.commands.request(customer.person, device.device.device_id, wish())
    return customer, device, named.command.command_id


async def test_a_command_is_fetched_begun_and_answered(world: World) -> None:
    customer, device, command_id = await asked(world)
    fetched = await world.commands.exchange(principal_of(device), [])
    assert [(each.command_id, each.kind, dict(each.arguments)) for each in fetched.begin] == [
        (command_id, "scan", QUICK)
    ]
    begun = await world.commands.exchange(principal_of(device), [report(command_id, CommandState.IN_PROGRESS)])
    assert (begun.begin, begun.accepted) == ((), (command_id,))
    done = report(command_id, CommandState.SUCCEEDED, files="12", infected="0")
    await world.commands.exchange(principal_of(device), [done])
    command = (await world.commands.get(customer.org_id, command_id)).command
    assert (command.state, dict(command.result)) == (CommandState.SUCCEEDED, {"files": "12", "infected": "0"})
    assert command.finished_at == world.clock.now()
    assert await world.commands.exchange(principal_of(device), []) == await world.commands.exchange(
        principal_of(device), []
    )


async def test_a_command_whose_answer_was_lost_is_given_again(world: World) -> None:
    _, device, command_id = await asked(world)
    for _ in range(3):
        fetched = await world.commands.exchange(principal_of(device), [])
        assert [each.command_id for each in fetched.begin] == [command_id]


async def test_the_same_wish_means_the_same_command_and_another_under_its_name_is_refused(world: World) -> None:
    customer, device, command_id = await asked(world)
    again = await world.commands.request(customer.person, device.device.device_id, wish())
    assert again.command.command_id == command_id
    with pytest.raises(Refusal) as refused:
        await world.commands.request(customer.person, device.device.device_id, wish(arguments={"what": "full"}))
    assert refused.value.reason == "IDEMPOTENCY_MISMATCH"
    assert await states(world, customer) == ["pending"]


async def test_a_repeated_report_is_accepted_and_a_late_one_changes_nothing(world: World) -> None:
    customer, device, command_id = await asked(world)
    done = report(command_id, CommandState.SUCCEEDED)
    for outcome in (done, done, report(command_id, CommandState.FAILED, "TOO_LATE")):
        assert (await world.commands.exchange(principal_of(device), [outcome])).accepted == (command_id,)
    assert await states(world, customer) == ["succeeded"]


async def test_a_device_cannot_answer_for_another(world: World) -> None:
    customer, _, command_id = await asked(world)
    other = await world.activate(customer, name="other")
    stranger = await world.activate(await world.customer())
    for device in (other, stranger):
        exchanged = await world.commands.exchange(
            principal_of(device), [report(command_id, CommandState.SUCCEEDED), report("cmd_none", CommandState.FAILED)]
        )
        assert exchanged.accepted == (command_id, "cmd_none")
        assert exchanged.begin == ()
    assert await states(world, customer) == ["pending"]


async def test_commands_that_nobody_fetches_expire_and_unanswered_ones_time_out(world: World) -> None:
    customer, device, _ = await asked(world)
    await world.commands.exchange(principal_of(device), [])
    kind = KINDS["restart"]
    await world.commands.request(customer.person, device.device.device_id, wish("wish-0002", "restart", {}))
    world.clock.advance(kind.waits)
    assert await world.commands.end_overdue() == 1
    assert sorted(await states(world, customer)) == ["delivered", "expired"]
    world.clock.advance(KINDS["scan"].runs)
    assert await world.commands.end_overdue() == 1
    assert sorted(await states(world, customer)) == ["expired", "timed_out"]


async def test_those_of_one_organisation_end_without_the_others(world: World) -> None:
    mine, _, _ = await asked(world)
    others, _, _ = await asked(world)
    world.clock.advance(KINDS["scan"].waits)
    assert await world.commands.end_overdue(mine.org_id) == 1
    assert [await states(world, each) for each in (mine, others)] == [["expired"], ["pending"]]


async def test_time_is_looked_at_when_a_device_comes_before_the_sweep(world: World) -> None:
    customer, device, _ = await asked(world)
    world.clock.advance(KINDS["scan"].waits)
    assert (await world.commands.exchange(principal_of(device), [])).begin == ()
    assert await states(world, customer) == ["expired"]


async def test_a_pending_command_is_cancelled_at_once_and_a_begun_one_by_its_device(world: World) -> None:
    customer, device, command_id = await asked(world)
    second = (
        await world.commands.request(customer.person, device.device.device_id, wish("wish-0002"))
    ).command.command_id
    await world.commands.cancel(customer.org_id, second)
    assert (await world.commands.get(customer.org_id, second)).command.state is CommandState.CANCELLED
    await world.commands.exchange(principal_of(device), [report(command_id, CommandState.IN_PROGRESS)])
    assert (await world.commands.cancel(customer.org_id, command_id)).command.state is CommandState.IN_PROGRESS
    told = await world.commands.exchange(principal_of(device), [])
    assert told.give_up == (command_id,)
    await world.commands.exchange(principal_of(device), [report(command_id, CommandState.CANCELLED)])
    assert await states(world, customer) == ["cancelled", "cancelled"]
    assert (await world.commands.cancel(customer.org_id, command_id)).command.state is CommandState.CANCELLED


async def test_a_command_that_was_fetched_and_then_cancelled_is_not_begun(world: World) -> None:
    customer, device, command_id = await asked(world)
    await world.commands.exchange(principal_of(device), [])
    await world.commands.cancel(customer.org_id, command_id)
    told = await world.commands.exchange(principal_of(device), [])
    assert (told.begin, told.give_up) == ((), (command_id,))


async def test_a_device_without_the_feature_is_given_no_command_until_it_has_it_again(world: World) -> None:
    customer, device, _ = await asked(world)
    await world.release(customer, device.device.device_id)
    assert (await world.commands.exchange(principal_of(device), [])).begin == ()
    with pytest.raises(Refusal) as refused:
        await world.commands.request(customer.person, device.device.device_id, wish("wish-0002"))
    assert (refused.value.reason, refused.value.facts["access_reason"]) == ("FEATURE_NOT_ENTITLED", "SEAT_RELEASED")


async def test_devices_that_are_not_there_get_no_commands(world: World) -> None:
    customer, device, command_id = await asked(world)
    stranger = await world.customer()
    for person, device_id in ((customer.person, "dev_none"), (stranger.person, device.device.device_id)):
        with pytest.raises(Refusal) as refused:
            await world.commands.request(person, device_id, wish("wish-0003"))
        assert refused.value.reason == "DEVICE_NOT_FOUND"
    for unknown in (world.commands.get, world.commands.cancel):
        with pytest.raises(Refusal) as refused:
            await unknown(stranger.org_id, command_id)
        assert refused.value.reason == "COMMAND_NOT_FOUND"
    await world.devices.deactivate(principal_of(device), "sold")
    with pytest.raises(Refusal) as refused:
        await world.commands.request(customer.person, device.device.device_id, wish("wish-0004"))
    assert refused.value.reason == "DEVICE_DEACTIVATED"


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("name", sorted(KINDS))
async def test_each_kind_is_for_its_roles(world: World, role: Role, name: str) -> None:
    customer = await world.customer()
    device = await world.activate(customer)
    person = PersonPrincipal("usr_2", customer.org_id, role, "tok_2")
    if role in KINDS[name].roles:
        await world.commands.request(person, device.device.device_id, wish(kind=name, arguments={}))
        return
    with pytest.raises(Refusal) as refused:
        await world.commands.request(person, device.device.device_id, wish(kind=name, arguments={}))
    assert refused.value.reason == "ROLE_MISSING"


async def test_a_command_and_its_end_are_news_for_its_device(world: World) -> None:
    customer, device, first_id = await asked(world)
    mine = {News(customer.org_id, device.device.device_id): True}
    heard: list[Mapping[News, bool]] = []
    world.database.listen(heard.append)
    await world.commands.exchange(principal_of(device), [])
    assert heard == []
    await world.commands.cancel(customer.org_id, first_id)
    await world.commands.request(customer.person, device.device.device_id, wish("wish-0002"))
    assert heard == [mine, mine]


def test_kinds_and_arguments_are_read_strictly() -> None:
    assert read_arguments(read_kind("scan"), {"what": " quick ", "path": ""}) == QUICK
    for name, arguments, reason in (
        ("format_disk", {}, "COMMAND_KIND_UNKNOWN"),
        ("scan", {}, "INVALID_REQUEST"),
        ("scan", {"what": "quick", "where": "/"}, "INVALID_REQUEST"),
        ("scan", {"what": "path", "path": "/" * 5_000}, "INVALID_REQUEST"),
        ("restore", {"quarantine_id": "a\x1bb"}, "INVALID_REQUEST"),
    ):
        with pytest.raises(Refusal) as refused:
            read_arguments(read_kind(name), arguments)
        assert refused.value.reason == reason


async def test_pages_follow_each_other(world: World) -> None:
    customer = await world.customer()
    device = await world.activate(customer)
    for number in range(5):
        await world.commands.request(customer.person, device.device.device_id, wish(f"wish-000{number}"))
        world.clock.advance(timedelta(seconds=number % 2))
    seen: list[str] = []
    after: tuple[str | int, ...] = ()
    while True:
        page = await world.commands.page(customer.org_id, Page(2, after), CommandFilter())
        seen += [named.command.command_id for named in page.commands]
        if page.next_key is None:
            break
        after = page.next_key
    assert len(seen) == len(set(seen)) == 5
    only = CommandFilter(device_id=device.device.device_id, states=frozenset({CommandState.EXPIRED}))
    assert (await world.commands.page(customer.org_id, Page(2), only)).commands == ()
