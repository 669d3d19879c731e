"""What a device is told, for any policies: precedence, and rollouts that only ever go forward."""

from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.policies.model import (
    AT_ONCE,
    Assignment,
    Decider,
    Policy,
    Revision,
    Rollout,
    RolloutState,
    Selector,
    Stage,
    Target,
    combine,
    differences,
    effective,
    effects,
    is_reached,
    place_of,
    revision_for,
    revisions_for,
    specificity_of,
    with_change,
)
from wire.policy_document import PolicyDocument, PolicyExclusion, document_of

NOW = datetime(2026, 11, 29, tzinfo=UTC)
LABELS = st.frozensets(st.sampled_from(["server", "site=berlin", "build"]))
DEVICES = st.sampled_from(["dev_1", "dev_2", "dev_3"])
SELECTORS = st.one_of(st.builds(Selector, device_id=DEVICES), st.builds(Selector, labels=LABELS))
TARGETS = st.builds(Target, DEVICES, LABELS)
VALUES = st.dictionaries(st.sampled_from(["realtime.mode", "schedule.cpu_percent"]), st.integers(1, 100), max_size=2)
EXCLUSIONS = st.lists(
    st.builds(PolicyExclusion, st.just("path"), st.sampled_from(["/a", "/b"]), st.sampled_from(["x", "y"])),
    max_size=2,
    unique_by=lambda exclusion: exclusion.subject,
)
DOCUMENTS = st.builds(document_of, VALUES, EXCLUSIONS)
ASSIGNMENTS = st.builds(Assignment, st.lists(SELECTORS, max_size=3).map(tuple), st.integers(-2, 2))
SPANS = st.integers(0, 500).map(lambda hours: timedelta(hours=hours))


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    percents = sorted(draw(st.sets(st.integers(1, 99), max_size=4)))
    stages = tuple(Stage(percent, draw(SPANS)) for percent in percents)
    running = draw(st.booleans())
    return Rollout((*stages, Stage(100)), draw(SPANS), NOW - draw(SPANS) if running else None)


@st.composite
def policies(draw: st.DrawFn, *, staged: bool = True) -> tuple[Policy, ...]:
    found = []
    for name in draw(st.sets(st.sampled_from("abcd"), max_size=4)):
        numbers = range(draw(st.integers(1, 3)), 0, -1)
        rolled = rollouts() if staged else st.just(Rollout())
        revisions = [
            Revision(
                name=name,
                number=number,
                document=draw(DOCUMENTS),
                assignment=draw(ASSIGNMENTS),
                rollout=draw(rolled),
            )
            for number in numbers
        ]
        found.append(Policy(tuple(revisions)))
    return tuple(found)


@settings(max_examples=30)
@given(policies(), TARGETS)
def test_each_setting_is_decided_by_the_most_specific_policy_that_makes_it(
    found: tuple[Policy, ...], target: Target
) -> None:
    reached = [revision for policy in found if (revision := revision_for(policy, target.device_id, NOW))]
    ranks = {revision.name: specificity_of(revision.assignment, target) for revision in reached}
    told = effective(found, target, NOW)
    for name, value in told.document.settings.items():
        setters = [
            (-(ranks[revision.name] or 0), -revision.assignment.priority, revision.name, revision)
            for revision in reached
            if ranks[revision.name] is not None and name in revision.document.settings
        ]
        assert min(setters, key=lambda entry: entry[:3])[-1].document.settings[name] == value
    meant = {name for revision in reached if ranks[revision.name] is not None for name in revision.document.settings}
    assert meant == told.document.settings.keys()
    excluded = {
        exclusion.subject
        for revision in reached
        if ranks[revision.name] is not None
        for exclusion in revision.document.exclusions
    }
    assert excluded == {exclusion.subject for exclusion in told.document.exclusions}


@settings(max_examples=30)
@given(policies(), st.lists(TARGETS, max_size=6))
def test_devices_that_nothing_tells_apart_are_decided_together(
    found: tuple[Policy, ...], targets: list[Target]
) -> None:
    decider = Decider(found, NOW)
    for target in targets:
        assert decider.revisions_for(target) == revisions_for(found, target, NOW)


@settings(max_examples=30)
@given(policies(), TARGETS, st.randoms(use_true_random=False))
def test_the_order_in_which_policies_are_read_does_not_matter(
    found: tuple[Policy, ...], target: Target, random: Random
) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert effective(shuffled, target, NOW) == effective(found, target, NOW)


@settings(max_examples=30)
@given(policies(), TARGETS)
def test_the_validator_tells_apart_what_is_told(found: tuple[Policy, ...], target: Target) -> None:
    told = effective(found, target, NOW)
    assert bool(told.etag) == bool(told.revisions)
    with_one_more = combine([*revisions_for(found, target, NOW), *_some_revision()])
    assert with_one_more.etag != told.etag


def _some_revision() -> list[Revision]:
    return [Revision(name="z", number=9, document=PolicyDocument(), assignment=Assignment(), rollout=Rollout())]


@given(st.integers(0, 500), st.integers(1, 100), st.integers(1, 100))
def test_a_later_stage_only_adds_devices(number: int, one: int, other: int) -> None:
    device_id = f"dev_{number}"
    assert not is_reached(device_id, min(one, other)) or is_reached(device_id, max(one, other))
    assert is_reached(device_id, 100)
    assert 0 <= place_of(device_id) < 10_000


def test_places_are_spread_evenly() -> None:
    reached = sum(is_reached(f"dev_{number}", 25) for number in range(4_000))
    assert 900 <= reached <= 1_100


@given(rollouts(), st.lists(st.tuples(SPANS, st.sampled_from(["wait", "pause", "resume"])), max_size=8))
def test_a_rollout_never_goes_back_and_stands_still_while_it_is_paused(
    rollout: Rollout, steps: list[tuple[timedelta, str]]
) -> None:
    now, percent = NOW, rollout.percent(NOW)
    for span, step in steps:
        stands = rollout.running_since is None
        now += span
        assert rollout.percent(now) == percent if stands else rollout.percent(now) >= percent
        percent = rollout.percent(now)
        rollout = {"wait": rollout, "pause": rollout.paused(now), "resume": rollout.resumed(now)}[step]
        assert rollout.percent(now) == percent


@given(rollouts())
def test_the_next_stage_begins_when_it_is_said_to(rollout: Rollout) -> None:
    at = rollout.next_stage_at(NOW)
    if at is None:
        assert rollout.state(NOW) is not RolloutState.RUNNING
        return
    assert rollout.percent(at) > rollout.percent(NOW)
    assert rollout.percent(at - timedelta(microseconds=1)) == rollout.percent(NOW)


@given(rollouts(), SPANS)
def test_a_rollout_that_was_taken_over_reaches_nobody_else(rollout: Rollout, span: timedelta) -> None:
    over = rollout.taken_over(NOW)
    assert over.percent(NOW + span) == rollout.percent(NOW)
    assert over.state(NOW) in {RolloutState.SUPERSEDED, RolloutState.COMPLETE}


@settings(max_examples=30)
@given(policies(staged=False), st.lists(TARGETS, max_size=5, unique_by=lambda target: target.device_id), DOCUMENTS)
def test_a_preview_tells_of_exactly_the_devices_whose_document_changes(
    found: tuple[Policy, ...], targets: list[Target], document: PolicyDocument
) -> None:
    changed = Revision(
        name="a",
        number=9,
        document=document,
        assignment=Assignment((Selector(),)),
        rollout=Rollout((Stage(1), *AT_ONCE)),
    )
    after = with_change(found, "a", changed)
    told = {device_id for effect in effects(found, after, targets, NOW) for device_id in effect.device_ids}
    expected = {
        target.device_id
        for target in targets
        if differences(effective(found, target, NOW).document, effective(after, target, NOW).document)
    }
    assert told == expected
    assert not effects(found, found, targets, NOW)
