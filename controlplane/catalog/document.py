"""Reads plans from what people write (TOML) and from what the database keeps (JSON), naming the key that is wrong."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from controlplane.billing.money import parse_decimal
from controlplane.catalog.errors import catalog_invalid
from controlplane.catalog.model import AccessLevel, ExistingCustomers, Os, Plan, Term
from controlplane.runtime.refusal import Refusal
from controlplane.runtime.toml_document import StrictDocument, read_toml

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,63}$")]
_Level = Literal["full", "grace", "limited"]


class _Ended(StrictDocument):
    # None (the key is left out): a subscription stays limited for ever.
    after_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    keeps: list[_Name] = Field(default_factory=list)


class _PlanDocument(StrictDocument):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,63}$")]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    devices: Annotated[int, Field(ge=1, le=100_000)]
    terms: Annotated[list[Literal["monthly", "yearly"]], Field(min_length=1)]
    # Shorter than the shortest month: an overdue term paid within its grace still covers today.
    grace_days: Annotated[int, Field(ge=0, le=27)] = 14
    ended: _Ended = _Ended()
    features: dict[Literal["linux", "macos", "windows", "android", "ios"], dict[_Name, _Level]]
    # Per term and currency, as people write amounts: "49.99".
    prices: dict[Literal["monthly", "yearly"], dict[str, str]] = Field(default_factory=dict)
    existing_customers: Literal["keep", "move"] = "keep"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.terms)) != len(self.terms):
            raise ValueError("terms: each may be listed once")
        known = {feature for features in self.features.values() for feature in features}
        unknown = [name for name in self.ended.keeps if name not in known]
        if unknown:
            raise ValueError(f"ended.keeps: {unknown[0]} is no feature of this plan")
        for term, prices in self.prices.items():
            if term not in self.terms:
                raise ValueError(f"prices.{term}: the plan is not sold for this term")
            for currency, amount in prices.items():
                _price(f"prices.{term}.{currency}", amount, currency)
        return self


def _price(key: str, untrusted_amount: str, untrusted_currency: str) -> int:
    """Minor units; what is wrong becomes the sentence of a `CATALOG_INVALID`."""
    try:
        return parse_decimal(untrusted_amount, untrusted_currency).minor
    except Refusal as refused:
        raise ValueError(f"{key}: {refused.message}") from refused


class _CatalogDocument(StrictDocument):
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    # With its offset: whoever reads the file knows the instant. None (the key is left out): as soon as it is applied.
    valid_from: AwareDatetime | None = None
    plans: Annotated[list[_PlanDocument], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        ids = [plan.id for plan in self.plans]
        for plan_id in ids:
            if ids.count(plan_id) > 1:
                raise ValueError(f"plans: the id {plan_id} is used twice")
        return self


@dataclass(frozen=True, slots=True)
class Catalog:
    """One publication.

    Attributes:
        version: Its number.
        plans: By their ids.
        valid_from: First instant at which it is on sale; None: as soon as it is applied.
    """

    version: int
    plans: tuple[Plan, ...]
    valid_from: datetime | None = None

    @property
    def content_sha256(self) -> str:
        """Hex; equal for catalogs that say the same, however they are written."""
        said = [plan_json(plan) for plan in self.plans]
        if self.valid_from is not None:
            said.append(self.valid_from.isoformat())
        return hashlib.sha256("\n".join(said).encode()).hexdigest()


def read_catalog(untrusted_toml: bytes) -> Catalog:
    """Read and check a catalog as people write it.

    Raises:
        Refusal: CATALOG_INVALID, naming the key and what is wrong with it.
    """
    document = read_toml(untrusted_toml, _CatalogDocument, catalog_invalid)
    plans = sorted((_plan(plan, document.version) for plan in document.plans), key=lambda plan: plan.plan_id)
    valid_from = None if document.valid_from is None else document.valid_from.astimezone(UTC)
    return Catalog(document.version, tuple(plans), valid_from)


def plan_json(plan: Plan) -> str:
    """Canonical JSON of a plan, as the database keeps it."""
    document = {
        "id": plan.plan_id,
        "name": plan.name,
        "devices": plan.devices,
        "terms": sorted(term.value for term in plan.terms),
        "grace_days": plan.grace.days,
        "ended_after_days": None if plan.ended_after is None else plan.ended_after.days,
        "features": {
            platform.value: {name: level.value for name, level in features.items()}
            for platform, features in plan.features.items()
        },
    }
    if plan.prices:
        # Left out otherwise: the canonical form of a plan from before there were prices stays what it was.
        document["prices"] = {term.value: dict(prices) for term, prices in plan.prices.items()}
    if plan.existing_customers is not ExistingCustomers.KEEP:
        document["existing_customers"] = plan.existing_customers.value
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def plan_from_json(document: str, catalog_version: int) -> Plan:
    """A plan as it was published; the database holds only what `plan_json` wrote."""
    content = json.loads(document)
    after_days = content["ended_after_days"]
    return Plan(
        plan_id=content["id"],
        catalog_version=catalog_version,
        name=content["name"],
        devices=content["devices"],
        terms=tuple(Term(term) for term in content["terms"]),
        grace=timedelta(days=content["grace_days"]),
        ended_after=None if after_days is None else timedelta(days=after_days),
        features={
            Os(platform): {name: AccessLevel(level) for name, level in features.items()}
            for platform, features in content["features"].items()
        },
        prices={Term(term): prices for term, prices in content.get("prices", {}).items()},
        existing_customers=ExistingCustomers(content.get("existing_customers", "keep")),
    )


def _plan(document: _PlanDocument, catalog_version: int) -> Plan:
    after_days = document.ended.after_days
    return Plan(
        plan_id=document.id,
        catalog_version=catalog_version,
        name=document.name,
        devices=document.devices,
        terms=tuple(Term(term) for term in document.terms),
        grace=timedelta(days=document.grace_days),
        ended_after=None if after_days is None else timedelta(days=after_days),
        features={
            Os(platform): _with_kept(features, document.ended.keeps) for platform, features in document.features.items()
        },
        prices={
            Term(term): {currency: _price("price", amount, currency) for currency, amount in prices.items()}
            for term, prices in document.prices.items()
        },
        existing_customers=ExistingCustomers(document.existing_customers),
    )


def _with_kept(features: Mapping[str, str], kept: Sequence[str]) -> dict[str, AccessLevel]:
    return {name: AccessLevel.ENDED if name in kept else AccessLevel(level) for name, level in features.items()}
