"""A policy of the organisation, as this device knows it: values, and what can be said about them without asking."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from agent.domain.errors import BucklerError, ExitStatus
from agent.domain.exclusions import MANAGED_PREFIX, Exclusion, ExclusionKind
from wire.policy_document import PolicyDocument, PolicyDocumentError, SettingValue, read_canonical

#: What can be changed while the agent runs; anything else is in force after a restart, which is made at once.
_AT_ONCE: Final = frozenset(
    {
        "realtime.mode",
        "realtime.action",
        "schedule.quick",
        "schedule.full",
        "schedule.pause_on_battery",
        "schedule.jitter_minutes",
        "schedule.overdue_days",
        "quarantine.stop_processes",
    }
)
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class GivenPolicy:
    """What the control plane gave; meanings as in device.proto.

    Attributes:
        etag: Names the state; empty: nothing is set.
        version: For people.
        document: As it came; it may be one that this version of the agent cannot read.
    """

    etag: str = ""
    version: str = ""
    document: str = ""

    def read(self) -> "ManagedPolicy":
        """What it says.

        Raises:
            PolicyDocumentError: This agent does not understand it.
        """
        if not self.etag:
            return ManagedPolicy()
        return ManagedPolicy(self.version, read_canonical(self.document.encode("utf-8", "surrogatepass")))


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    """What an organisation sets on this device.

    Attributes:
        version: Names of revisions, e.g. `baseline.3+servers.1`; empty: nothing is set.
        document: Settings and exclusions.
    """

    version: str = ""
    document: PolicyDocument = field(default_factory=PolicyDocument)

    def get(self, name: str) -> SettingValue | None:
        """A setting; None: it is left to the device."""
        return self.document.settings.get(name)

    def number(self, name: str) -> int | None:
        """A setting that is a whole number; None as above."""
        value = self.get(name)
        return value if isinstance(value, int) else None

    def switch(self, name: str) -> bool | None:
        """A setting that is on or off; None as above."""
        value = self.get(name)
        return value if isinstance(value, bool) else None

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """As the policy in force has them; their ends are judged when they are used."""
        return tuple(
            Exclusion(
                f"{MANAGED_PREFIX}{number}",
                ExclusionKind(exclusion.kind),
                exclusion.value,
                exclusion.reason,
                _ALWAYS,
                exclusion.expires_at,
            )
            for number, exclusion in enumerate(self.document.exclusions, 1)
        )


def needs_restart(before: PolicyDocument, after: PolicyDocument) -> bool:
    """Whether a change is in force only after the agent has begun anew."""
    names = before.settings.keys() | after.settings.keys()
    return any(before.settings.get(name) != after.settings.get(name) for name in names - _AT_ONCE)


def nothing_left(roots: tuple[str, ...], policy: ManagedPolicy) -> bool:
    """Whether the exclusions of a policy cover every watched folder: below the floor of protection."""
    folders = [exclusion for exclusion in policy.exclusions if exclusion.kind is ExclusionKind.PATH]
    return bool(roots) and all(any(folder.applies_to(root, _ALWAYS) for folder in folders) for root in roots)


def value_managed(what: str, policy: ManagedPolicy) -> BucklerError:
    """Why the owner of a device cannot change something."""
    return BucklerError(
        "VALUE_MANAGED",
        f"{what} is set by your organisation (policy {policy.version}) and cannot be changed here",
        next_step="ask an administrator of your organisation to change the policy",
        exit_status=ExitStatus.NEGATIVE,
        facts={"policy": policy.version},
    )


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """What is remembered across restarts.

    Attributes:
        owner: Whose policies these are: organisation and device.
        desired: Given last.
        applied: In force, proven; kept when the desired one cannot be.
        refusal: Why the desired one is not in force; empty: it is, or is being tried.
        trying: The desired one needs a restart that has not yet ended in proven protection.
        begun: The agent has started with it; if it starts so again, it did not come up the first time.
        refused_by: Version of the agent that refused it; another one looks again.
    """

    owner: str = ""
    desired: GivenPolicy = GivenPolicy()
    applied: GivenPolicy = GivenPolicy()
    refusal: str = ""
    trying: bool = False
    begun: bool = False
    refused_by: str = ""

    def to_setting(self) -> str:
        """As text."""
        return json.dumps(
            {
                "owner": self.owner,
                "desired": [self.desired.etag, self.desired.version, self.desired.document],
                "applied": [self.applied.etag, self.applied.version, self.applied.document],
                "refusal": self.refusal,
                "trying": self.trying,
                "begun": self.begun,
                "refused_by": self.refused_by,
            }
        )

    @classmethod
    def from_setting(cls, text: str | None) -> "PolicyRecord":
        """From that text; what cannot be read is as if nothing had ever been given, and will be given again."""
        try:
            found: dict[str, Any] = json.loads(text or "{}")
            record = cls(
                owner=str(found["owner"]),
                desired=GivenPolicy(*found["desired"]),
                applied=GivenPolicy(*found["applied"]),
                refusal=str(found["refusal"]),
                trying=bool(found["trying"]),
                begun=bool(found["begun"]),
                refused_by=str(found["refused_by"]),
            )
            record.applied.read()
        except (ValueError, KeyError, TypeError, AttributeError, PolicyDocumentError):
            return cls()
        return record
