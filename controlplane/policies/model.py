"""**Where it is decided what a device is told.** Pure: the same policies, device and `now` give the same answer.

A policy is a name with revisions; a revision is a document, whom it is for, and how far it has been rolled out. Three
questions, one after the other:

1. `revision_for`: which revision of a policy has reached this device? The newest whose stages have come to it. A
   device's place among all is a hash of its id: a later stage only adds devices, and the same few are always first.
2. `specificity_of`: is that revision for this device, and how closely does it mean it? The device itself before labels,
   more labels before fewer, labels before everyone.
3. `effective`: where several policies are for it, each setting is decided by the most specific policy that makes it;
   among equals by the one of higher priority, then by the one whose name comes first. Exclusions add up; one that
   several policies name is taken from the same winner.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from wire.policy_document import PolicyDocument, PolicyExclusion, SettingValue, document_of

#: Places of devices among all.
_PLACES = 10_000
_EVERYONE, _DEVICE = 0, 1_000
#: A name of revisions that is longer than this is told by its hash.
_MAX_VERSION = 200


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """Which devices are meant.

    Attributes:
        device_id: This one alone; empty: labels decide.
        labels: Devices that have all of these; none: everyone.
    """

    device_id: str = ""
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Assignment:
    """For whom, and how it ranks among equally specific policies; without selectors it is for nobody."""

    selectors: tuple[Selector, ...] = ()
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """A share of the devices, in percent, and how long it lasts before the next stage begins."""

    percent: int
    soak: timedelta = timedelta(0)


AT_ONCE = (Stage(100),)


class RolloutState(Enum):
    """How a rollout stands."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETE = "complete"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far a revision has come: a clock that can be stopped, and stages laid along it.

    Attributes:
        stages: Rising, the last one is everyone.
        progress: What the clock showed when it last stopped.
        running_since: When it last began to run; None: it stands.
        superseded: A newer revision took over.
    """

    stages: tuple[Stage, ...] = AT_ONCE
    progress: timedelta = timedelta(0)
    running_since: datetime | None = None
    superseded: bool = False

    def elapsed(self, now: datetime) -> timedelta:
        """What the clock shows; a wall clock that was set back does not turn it back."""
        if self.running_since is None:
            return self.progress
        return self.progress + max(timedelta(0), now - self.running_since)

    def percent(self, now: datetime) -> int:
        """Of the devices, reached so far."""
        return self.stages[self._stage(now)].percent

    def state(self, now: datetime) -> RolloutState:
        """How it stands."""
        if self._stage(now) == len(self.stages) - 1:
            return RolloutState.COMPLETE
        if self.superseded:
            return RolloutState.SUPERSEDED
        return RolloutState.PAUSED if self.running_since is None else RolloutState.RUNNING

    def next_stage_at(self, now: datetime) -> datetime | None:
        """When more devices are reached if nothing pauses it; None: not by itself."""
        if self.state(now) is not RolloutState.RUNNING:
            return None
        until = sum((stage.soak for stage in self.stages[: self._stage(now) + 1]), timedelta(0))
        return now + (until - self.elapsed(now))

    def paused(self, now: datetime) -> "Rollout":
        """Stop the clock."""
        return replace(self, progress=self.elapsed(now), running_since=None)

    def resumed(self, now: datetime) -> "Rollout":
        """Let the clock run on."""
        return self if self.running_since is not None else replace(self, running_since=now)

    def taken_over(self, now: datetime) -> "Rollout":
        """Stop it for good: whom it reached keeps it until the newer revision comes to them."""
        return replace(self.paused(now), superseded=True)

    def _stage(self, now: datetime) -> int:
        left = self.elapsed(now)
        for number, stage in enumerate(self.stages[:-1]):
            if left < stage.soak:
                return number
            left -= stage.soak
        return len(self.stages) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One state of a policy."""

    name: str
    number: int
    document: PolicyDocument
    assignment: Assignment
    rollout: Rollout
    author: str = ""
    reason: str = ""
    made_at: datetime | None = None

    @property
    def label(self) -> str:
        """As devices and people see it."""
        return f"{self.name}.{self.number}"


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy's revisions that a device may still be at, the newest first; never none."""

    revisions: tuple[Revision, ...]

    @property
    def newest(self) -> Revision:
        """The one that will reach everybody."""
        return self.revisions[0]


@dataclass(frozen=True, slots=True)
class Target:
    """What of a device decides about its policies."""

    device_id: str
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Effective:
    """What a device should have.

    Attributes:
        document: All its policies, laid over each other.
        revisions: Labels of the revisions that it is made of, the most specific first.
    """

    document: PolicyDocument
    revisions: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The revisions as one word; empty: there are none."""
        return version_of(self.revisions)

    @property
    def etag(self) -> str:
        """Changes whenever a device would be told something else; empty: nothing is set."""
        if not self.revisions:
            return ""
        digest = hashlib.sha256(self.version.encode())
        digest.update(b"\0" + self.document.canonical())
        return digest.hexdigest()


def version_of(labels: Sequence[str]) -> str:
    """Labels of revisions as one word."""
    joined = "+".join(labels)
    return joined if len(joined) <= _MAX_VERSION else hashlib.sha256(joined.encode()).hexdigest()


def place_of(device_id: str) -> int:
    """Where a device stands among all, 0 to 9,999: the same on every server and for every rollout."""
    return int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:8]) % _PLACES


def is_reached(device_id: str, percent: int) -> bool:
    """Whether a stage of so many percent has come to a device."""
    return place_of(device_id) < _places_of(percent)


def _places_of(percent: int) -> int:
    return percent * (_PLACES // 100)


def revision_for(policy: Policy, device_id: str, now: datetime) -> Revision | None:
    """The newest revision that has reached a device; None: none has."""
    for revision in policy.revisions:
        if is_reached(device_id, revision.rollout.percent(now)):
            return revision
    return None


def specificity_of(assignment: Assignment, target: Target) -> int | None:
    """How closely a device is meant, higher is closer; None: it is not."""
    return max(
        (rank for selector in assignment.selectors if (rank := _rank(selector, target)) is not None), default=None
    )


def _rank(selector: Selector, target: Target) -> int | None:
    if selector.device_id:
        return _DEVICE if selector.device_id == target.device_id else None
    return _EVERYONE + len(selector.labels) if selector.labels <= target.labels else None


def effective(policies: Iterable[Policy], target: Target, now: datetime) -> Effective:
    """What a device should have now; see the module."""
    return combine(revisions_for(policies, target, now))


def revisions_for(policies: Iterable[Policy], target: Target, now: datetime) -> tuple[Revision, ...]:
    """The revisions that are for a device now, in the order in which they decide."""
    ranked = []
    for policy in policies:
        revision = revision_for(policy, target.device_id, now)
        specificity = None if revision is None else specificity_of(revision.assignment, target)
        if revision is not None and specificity is not None:
            ranked.append((-specificity, -revision.assignment.priority, revision.name, revision))
    return tuple(revision for *_, revision in sorted(ranked, key=lambda entry: entry[:3]))


class Decider:
    """`revisions_for` for many devices: those that no selector and no stage tells apart are decided once.

    Args:
        policies: Of one organisation.
        now: Judges how far they are.
    """

    def __init__(self, policies: Sequence[Policy], now: datetime) -> None:
        self._policies = policies
        self._now = now
        revisions = [revision for policy in policies for revision in policy.revisions]
        selectors = [selector for revision in revisions for selector in revision.assignment.selectors]
        self._named = frozenset(selector.device_id for selector in selectors if selector.device_id)
        self._labels = frozenset(label for selector in selectors for label in selector.labels)
        self._ends = sorted({_places_of(revision.rollout.percent(now)) for revision in revisions})
        self._decided: dict[tuple[str, frozenset[str], int], tuple[Revision, ...]] = {}

    def revisions_for(self, target: Target) -> tuple[Revision, ...]:
        """As the function of that name."""
        name = target.device_id if target.device_id in self._named else ""
        key = name, target.labels & self._labels, bisect_right(self._ends, place_of(target.device_id))
        if key not in self._decided:
            self._decided[key] = revisions_for(self._policies, target, self._now)
        return self._decided[key]


def combine(deciding: Sequence[Revision]) -> Effective:
    """Lay documents over each other, the one that decides first on top."""
    settings: dict[str, SettingValue] = {}
    exclusions: dict[tuple[str, str], PolicyExclusion] = {}
    for revision in reversed(deciding):
        settings.update(revision.document.settings)
        exclusions.update({exclusion.subject: exclusion for exclusion in revision.document.exclusions})
    return Effective(document_of(settings, exclusions.values()), tuple(revision.label for revision in deciding))


# ---------------------------------------------------------------- what a change would do


def differences(before: PolicyDocument, after: PolicyDocument) -> tuple[str, ...]:
    """What changes on a device, a sentence for each thing; none: nothing."""
    names = sorted(before.settings.keys() | after.settings.keys())
    changed = [
        f"{name}: {_shown(before.settings, name)} -> {_shown(after.settings, name)}"
        for name in names
        if before.settings.get(name) != after.settings.get(name)
    ]
    old = {exclusion.subject: exclusion for exclusion in before.exclusions}
    new = {exclusion.subject: exclusion for exclusion in after.exclusions}
    for subject in sorted(old.keys() | new.keys()):
        kind, value = subject
        if subject not in old:
            changed.append(f"excluded {_until(new[subject])}: {kind} {value}")
        elif subject not in new:
            changed.append(f"no longer excluded: {kind} {value}")
        elif old[subject].expires_at != new[subject].expires_at:
            changed.append(f"excluded {_until(new[subject])} instead of {_until(old[subject])}: {kind} {value}")
    return tuple(changed)


def _shown(settings: Mapping[str, SettingValue], name: str) -> str:
    if name not in settings:
        return "as the device has it"
    value = settings[name]
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _until(exclusion: PolicyExclusion) -> str:
    return f"until {exclusion.expires_at:%Y-%m-%d}" if exclusion.expires_at else "for good"


@dataclass(frozen=True, slots=True)
class Effect:
    """Devices on which the same changes, in the order in which they were given."""

    changes: tuple[str, ...]
    device_ids: tuple[str, ...]


def effects(
    before: Sequence[Policy], after: Sequence[Policy], targets: Iterable[Target], now: datetime
) -> tuple[Effect, ...]:
    """What a change does to each device, those on which the same changes together; the most frequent first.

    Devices for which the same revisions decide before and after are compared once.
    """
    deciders = Decider(before, now), Decider(after, now)
    compared: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, ...]] = {}
    found: dict[tuple[str, ...], list[str]] = {}
    for target in targets:
        old, new = (decider.revisions_for(target) for decider in deciders)
        key = tuple(revision.label for revision in old), tuple(revision.label for revision in new)
        if key not in compared:
            compared[key] = differences(combine(old).document, combine(new).document)
        if compared[key]:
            found.setdefault(compared[key], []).append(target.device_id)
    grouped = (Effect(changes, tuple(device_ids)) for changes, device_ids in found.items())
    return tuple(sorted(grouped, key=lambda effect: (-len(effect.device_ids), effect.changes)))


def with_change(policies: Sequence[Policy], name: str, changed: Revision | None) -> tuple[Policy, ...]:
    """The policies once a change has reached everyone; None: the policy of that name is gone."""
    others = tuple(policy for policy in policies if policy.newest.name != name)
    if changed is None:
        return others
    return (*others, Policy((replace(changed, rollout=Rollout(AT_ONCE)),)))
