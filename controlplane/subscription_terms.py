"""What a subscription gives a device now, in licensing's own words."""

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.licensing.model import SubscriptionTerms
from controlplane.subscriptions.service import SubscriptionService, SubscriptionState


class TermsReader:
    """Asks the subscriptions capability: what licensing knows of what is sold.

    Args:
        subscriptions: Derives access.
    """

    def __init__(self, subscriptions: SubscriptionService) -> None:
        self._subscriptions = subscriptions

    async def of(
        self, connection: AsyncConnection, *, org_id: str, subscription_id: str, platform_os: str = ""
    ) -> SubscriptionTerms:
        """As `controlplane.licensing.ports.Terms`."""
        state = await self._subscriptions.get(connection, org_id=org_id, subscription_id=subscription_id)
        return _terms(state, platform_os)


def _terms(state: SubscriptionState, platform_os: str) -> SubscriptionTerms:
    subscription, plan, access = state.subscription, state.plan, state.access
    return SubscriptionTerms(
        org_id=subscription.org_id,
        subscription_id=subscription.subscription_id,
        plan_id=plan.plan_id,
        plan_name=plan.name,
        catalog_version=plan.catalog_version,
        seats=plan.devices,
        access=access.level,
        access_reason=access.reason.value,
        access_until=access.until,
        paid_until=subscription.period_end,
        revocation_epoch=subscription.revocation_epoch,
        features=plan.grants(platform_os),
    )
