"""The first answer to a renewal, kept so that a repeat of the request gets exactly the same one."""

import json
from dataclasses import dataclass
from datetime import datetime

from controlplane.catalog.model import Term
from controlplane.storage.types import from_microseconds, to_microseconds
from controlplane.subscriptions.model import Billing, Renewal, Subscription


@dataclass(frozen=True, slots=True)
class RenewalAnswer:
    """What a renewal answered.

    Attributes:
        subscription: As the renewal left it.
        changed: Whether it opened a period.
        at: When; the access in the answer is that of this instant.
    """

    subscription: Subscription
    changed: bool
    at: datetime


def answer_to_json(answer: RenewalAnswer) -> bytes:
    """What is stored with the request."""
    subscription = answer.subscription
    content = {
        "at_us": to_microseconds(answer.at),
        "changed": answer.changed,
        "org_id": subscription.org_id,
        "subscription_id": subscription.subscription_id,
        "plan_id": subscription.plan_id,
        "catalog_version": subscription.catalog_version,
        "term": subscription.term.value,
        "billing": subscription.billing.value,
        "renewal": subscription.renewal.value,
        "period_start_us": to_microseconds(subscription.period_start),
        "period_end_us": to_microseconds(subscription.period_end),
        "anchor_day": subscription.anchor_day,
        "revocation_epoch": subscription.revocation_epoch,
        "created_us": to_microseconds(subscription.created_at),
    }
    return json.dumps(content, sort_keys=True).encode()


def answer_from_json(stored: bytes) -> RenewalAnswer:
    """Back from what `answer_to_json` wrote. A renewed subscription is neither suspended nor revoked."""
    content = json.loads(stored)
    return RenewalAnswer(
        subscription=Subscription(
            org_id=content["org_id"],
            subscription_id=content["subscription_id"],
            plan_id=content["plan_id"],
            catalog_version=content["catalog_version"],
            term=Term(content["term"]),
            billing=Billing(content["billing"]),
            renewal=Renewal(content["renewal"]),
            period_start=from_microseconds(content["period_start_us"]),
            period_end=from_microseconds(content["period_end_us"]),
            anchor_day=content["anchor_day"],
            suspended_at=None,
            revoked_at=None,
            revocation_epoch=content["revocation_epoch"],
            created_at=from_microseconds(content["created_us"]),
        ),
        changed=content["changed"],
        at=from_microseconds(content["at_us"]),
    )
