"""SubscriptionService on the wire: validate, call one use case, translate."""

from controlplane.catalog.wire_names import ACCESS_LEVEL_ON_THE_WIRE
from controlplane.runtime.interceptors import Context
from controlplane.runtime.principal import current_person
from controlplane.storage.database import Database
from controlplane.storage.types import to_microseconds
from controlplane.subscriptions.service import SubscriptionService, SubscriptionState
from wire.v1 import subscription_pb2
from wire.v1.subscription_pb2_grpc import SubscriptionServiceServicer


class SubscriptionRpc(SubscriptionServiceServicer):
    """The servicer."""

    def __init__(self, database: Database, service: SubscriptionService) -> None:
        self._database = database
        self._service = service

    async def GetSubscription(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.GetSubscriptionRequest,
        _context: Context,
    ) -> subscription_pb2.Subscription:
        """One subscription of the caller's organisation."""
        async with self._database.reading() as connection:
            state = await self._service.get(
                connection, org_id=current_person().org_id, subscription_id=request.subscription_id
            )
            return _message(state, await self._service.seats_taken(connection, state))

    async def Renew(  # noqa: N802 -- the name is the protocol's
        self,
        request: subscription_pb2.RenewRequest,
        _context: Context,
    ) -> subscription_pb2.RenewResponse:
        """Adds one term."""
        renewed = await self._service.renew(
            org_id=current_person().org_id,
            subscription_id=request.subscription_id,
            idempotency_key=request.idempotency_key,
        )
        async with self._database.reading() as connection:
            taken = await self._service.seats_taken(connection, renewed.state)
        return subscription_pb2.RenewResponse(subscription=_message(renewed.state, taken), renewed=renewed.changed)


def _message(state: SubscriptionState, seats_taken: int) -> subscription_pb2.Subscription:
    subscription, plan, access = state.subscription, state.plan, state.access
    return subscription_pb2.Subscription(
        subscription_id=subscription.subscription_id,
        plan_id=plan.plan_id,
        plan_name=plan.name,
        seats=plan.devices,
        seats_taken=seats_taken,
        billing=subscription.billing.value,
        renewal=subscription.renewal.value,
        access=ACCESS_LEVEL_ON_THE_WIRE[access.level],
        access_reason=access.reason.value,
        access_until_at_us=0 if access.until is None else to_microseconds(access.until),
        period_start_at_us=to_microseconds(subscription.period_start),
        period_end_at_us=to_microseconds(subscription.period_end),
        term=subscription.term.value,
    )
