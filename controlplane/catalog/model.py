"""Plans and what they grant: data, checked once when it is published."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum


class AccessLevel(Enum):
    """What a subscription lets a device do, from most to least."""

    FULL = "full"
    GRACE = "grace"
    LIMITED = "limited"
    ENDED = "ended"

    @property
    def rank(self) -> int:
        """0 for the most, growing as access shrinks."""
        return _RANK[self]


_RANK = {level: rank for rank, level in enumerate(AccessLevel)}


class Term(Enum):
    """How long one period is."""

    MONTHLY = "monthly"
    YEARLY = "yearly"

    @property
    def months(self) -> int:
        """In calendar months."""
        return 12 if self is Term.YEARLY else 1


class Os(Enum):
    """Operating systems that a plan can speak of, spelled as `Platform.os` on the wire."""

    LINUX = "linux"
    MACOS = "macos"
    WINDOWS = "windows"
    ANDROID = "android"
    IOS = "ios"


class ExistingCustomers(Enum):
    """What happens to those who bought an earlier version of a plan."""

    #: They keep what they bought, for as long as they renew.
    KEEP = "keep"
    #: They get this version with the first renewal that it was announced for in time.
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Plan:
    """What one plan of one catalog version sells.

    Attributes:
        plan_id: Stable name for programs, e.g. `home-3`.
        catalog_version: The publication it belongs to; what a version says never changes once it is in use.
        name: For people.
        devices: Seats.
        terms: Lengths it can be bought for.
        grace: How long an overdue payment changes nothing but a notice.
        ended_after: How long after becoming limited a subscription ends; None: it stays limited.
        features: Per operating system: feature name to the weakest access level that still allows it.
        prices: Per term and currency (ISO 4217) what the customer pays for one period, in minor units, tax included.
        existing_customers: Whether those who have an earlier version of the plan come along.
    """

    plan_id: str
    catalog_version: int
    name: str
    devices: int
    terms: tuple[Term, ...]
    grace: timedelta
    ended_after: timedelta | None
    features: Mapping[Os, Mapping[str, AccessLevel]]
    prices: Mapping[Term, Mapping[str, int]] = field(default_factory=dict)
    existing_customers: ExistingCustomers = ExistingCustomers.KEEP

    def price(self, term: Term, currency: str) -> int | None:
        """What one period costs; None: it is not sold for this term in this currency."""
        return self.prices.get(term, {}).get(currency)

    def grants(self, platform_os: str) -> Mapping[str, AccessLevel]:
        """Feature name to the weakest level that allows it on a platform; empty for one the plan does not cover.

        Args:
            platform_os: As a device names it (`Platform.os`).
        """
        for known, features in self.features.items():
            if known.value == platform_os:
                return features
        return {}
