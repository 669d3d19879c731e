import hmac
import json
from datetime import timedelta
from hashlib import sha256

import pytest

from controlplane.detections.model import IncidentStatus
from controlplane.runtime.jobs.runner import JobRunner
from controlplane.runtime.paging import Page
from controlplane.runtime.refusal import Refusal
from controlplane.webhooks.model import MAX_ATTEMPTS, MAX_WEBHOOKS
from controlplane.webhooks.service import DEAD_KEPT, DELIVER
from tests.fakes.world import Customer, World, principal_of
from tests.unit.controlplane.detections.test_incidents import found

URL = "https://siem.example.com/hook?x=1"


def _runner(world: World) -> JobRunner:
    async def deliver(job: object) -> None:
        await world.webhooks.deliver(job.org_id, job.subject)  # type: ignore[attr-defined]

    return JobRunner(
        database=world.database,
        wall=world.clock,
        owner="t",
        handlers={DELIVER: deliver},
        times=world.times,
    )


async def _something_happens(world: World, customer: Customer, number: int = 1) -> None:
    device = principal_of(await world.activate(customer))
    await world.detections.report(device, [found(number, f"Threat {number}")], {})


async def test_an_event_is_posted_signed_and_once(world: World) -> None:
    customer = await world.customer()
    _, secret = await world.webhooks.add(customer.person, URL)
    await _something_happens(world, customer)
    report = await _runner(world).run_until(world.clock.now())
    assert (report.run, report.failed) == (1, 0)
    await _runner(world).run_until(world.clock.now() + timedelta(days=1))
    (post,) = world.posts.posts
    assert (post.target.host, post.target.path) == ("siem.example.com", "/hook?x=1")
    event = json.loads(post.body)
    assert (event["kind"], event["data"]["threat"]) == ("incident.opened", "Threat 1")
    assert post.headers["Buckler-Delivery"] == event["id"]
    at, digest = post.headers["Buckler-Signature"].split(",")
    expected = hmac.new(secret.encode(), at.removeprefix("t=").encode() + b"." + post.body, sha256).hexdigest()
    assert digest == f"v1={expected}"


async def test_a_receiver_that_is_away_gets_it_later_and_one_that_stays_away_never(world: World) -> None:
    customer = await world.customer()
    await world.webhooks.add(customer.person, URL)
    world.posts.failure = "it answered with status 503"
    await _something_happens(world, customer)
    runner = _runner(world)
    for _ in range(MAX_ATTEMPTS):
        await runner.run_until(world.clock.now())
        world.clock.advance(timedelta(hours=1))
    (view,) = await world.webhooks.list_all(customer.org_id)
    assert (view.waiting, view.dead) == (0, 1)
    (dead,) = (await world.webhooks.dead(customer.org_id, Page(size=10))).deliveries
    assert (dead.attempts, dead.last_error) == (MAX_ATTEMPTS, "it answered with status 503")

    world.posts.failure = ""
    await world.webhooks.retry(customer.person, dead.delivery_id)
    await runner.run_until(world.clock.now())
    assert [json.loads(post.body)["id"] for post in world.posts.posts] == [dead.delivery_id]
    assert (await world.webhooks.dead(customer.org_id, Page(size=10))).deliveries == ()
    with pytest.raises(Refusal, match="no such delivery"):
        await world.webhooks.retry(customer.person, dead.delivery_id)


async def test_what_was_given_up_long_ago_is_forgotten(world: World) -> None:
    customer = await world.customer()
    await world.webhooks.add(customer.person, URL)
    world.posts.failure = "it could not be reached"
    await _something_happens(world, customer)
    runner = _runner(world)
    for _ in range(MAX_ATTEMPTS):
        await runner.run_until(world.clock.now())
        world.clock.advance(timedelta(hours=1))
    world.clock.advance(DEAD_KEPT)
    await _judge(world, customer)
    await runner.run_until(world.clock.now())
    (view,) = await world.webhooks.list_all(customer.org_id)
    assert (view.waiting, view.dead) == (1, 0)


async def _judge(world: World, customer: Customer) -> None:
    (view,) = (await world.incidents.page(customer.org_id, Page(size=10))).views
    await world.incidents.set_status(customer.person, view.incident.incident_id, IncidentStatus.RESOLVED, "")


async def test_addresses_that_are_not_allowed_are_refused_when_added(world: World) -> None:
    customer = await world.customer()
    world.posts.forbidden.add("intranet.example.com")
    for url in (
        "https://intranet.example.com/",
        "ftp://example.com/",
        "https://user:secret@example.com/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://example.com:99999/",
        "https://",
    ):
        with pytest.raises(Refusal) as caught:
            await world.webhooks.add(customer.person, url)
        assert caught.value.reason == "WEBHOOK_REFUSED", url


async def test_a_url_is_added_once_and_there_is_a_limit(world: World) -> None:
    customer = await world.customer()
    for number in range(MAX_WEBHOOKS - 1):
        await world.webhooks.add(customer.person, f"{URL}{number}")
    with pytest.raises(Refusal) as again:
        await world.webhooks.add(customer.person, f"{URL}0")
    assert again.value.reason == "WEBHOOK_EXISTS"
    await world.webhooks.add(customer.person, URL)
    with pytest.raises(Refusal) as many:
        await world.webhooks.add(customer.person, f"{URL}more")
    assert many.value.reason == "TOO_MANY_WEBHOOKS"


async def test_removing_a_webhook_drops_what_waits_and_is_for_its_owner_only(world: World) -> None:
    customer, other = await world.customer(), await world.customer()
    view, _ = await world.webhooks.add(customer.person, URL)
    await _something_happens(world, customer)
    with pytest.raises(Refusal, match="no such webhook"):
        await world.webhooks.remove(other.person, view.webhook.webhook_id)
    await world.webhooks.remove(customer.person, view.webhook.webhook_id)
    await _runner(world).run_until(world.clock.now())
    assert (world.posts.posts, await world.webhooks.list_all(customer.org_id)) == ([], [])
