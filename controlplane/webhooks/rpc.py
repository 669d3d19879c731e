"""WebhookService on the wire: validate, call one use case, translate."""

from typing import Any

import grpc

from controlplane.runtime.fields import text
from controlplane.runtime.paging import page_token, read_page
from controlplane.runtime.principal import current_person
from controlplane.storage.types import to_microseconds
from controlplane.webhooks.model import MAX_URL_CHARACTERS, Delivery
from controlplane.webhooks.service import DELIVERY_KEY, WebhookService, WebhookView
from wire.v1 import webhook_pb2
from wire.v1.webhook_pb2_grpc import WebhookServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

_MAX_ID_CHARACTERS = 96


class WebhookRpc(WebhookServiceServicer):
    """The servicer of webhooks."""

    def __init__(self, service: WebhookService) -> None:
        self._service = service

    async def ListWebhooks(  # noqa: N802 -- the name is the protocol's
        self, _request: webhook_pb2.ListWebhooksRequest, _context: Context
    ) -> webhook_pb2.ListWebhooksResponse:
        """Every webhook."""
        views = await self._service.list_all(current_person().org_id)
        return webhook_pb2.ListWebhooksResponse(webhooks=[_message(view) for view in views])

    async def AddWebhook(  # noqa: N802 -- the name is the protocol's
        self, request: webhook_pb2.AddWebhookRequest, _context: Context
    ) -> webhook_pb2.AddWebhookResponse:
        """Adds one."""
        url = text("url", request.url, limit=MAX_URL_CHARACTERS, required=True)
        view, secret = await self._service.add(current_person(), url)
        return webhook_pb2.AddWebhookResponse(webhook=_message(view), secret=secret)

    async def RemoveWebhook(  # noqa: N802 -- the name is the protocol's
        self, request: webhook_pb2.RemoveWebhookRequest, _context: Context
    ) -> webhook_pb2.RemoveWebhookResponse:
        """Removes one."""
        webhook_id = text("webhook_id", request.webhook_id, limit=_MAX_ID_CHARACTERS, required=True)
        await self._service.remove(current_person(), webhook_id)
        return webhook_pb2.RemoveWebhookResponse()

    async def ListDeadDeliveries(  # noqa: N802 -- the name is the protocol's
        self, request: webhook_pb2.ListDeadDeliveriesRequest, _context: Context
    ) -> webhook_pb2.ListDeadDeliveriesResponse:
        """What was given up."""
        page = read_page(request.page.page_size, request.page.page_token, DELIVERY_KEY)
        found = await self._service.dead(current_person().org_id, page)
        return webhook_pb2.ListDeadDeliveriesResponse(
            deliveries=[_dead(delivery) for delivery in found.deliveries],
            next_page_token=page_token(found.next_key) if found.next_key else "",
        )

    async def RetryDelivery(  # noqa: N802 -- the name is the protocol's
        self, request: webhook_pb2.RetryDeliveryRequest, _context: Context
    ) -> webhook_pb2.RetryDeliveryResponse:
        """Tries one again."""
        delivery_id = text("delivery_id", request.delivery_id, limit=_MAX_ID_CHARACTERS, required=True)
        await self._service.retry(current_person(), delivery_id)
        return webhook_pb2.RetryDeliveryResponse()


def _message(view: WebhookView) -> webhook_pb2.Webhook:
    return webhook_pb2.Webhook(
        webhook_id=view.webhook.webhook_id,
        url=view.webhook.url,
        created_at_us=to_microseconds(view.webhook.created_at),
        waiting=view.waiting,
        dead=view.dead,
    )


def _dead(delivery: Delivery) -> webhook_pb2.DeadDelivery:
    return webhook_pb2.DeadDelivery(
        delivery_id=delivery.delivery_id,
        webhook_id=delivery.webhook_id,
        kind=delivery.kind,
        body=delivery.body,
        created_at_us=to_microseconds(delivery.created_at),
        attempts=delivery.attempts,
        last_error=delivery.last_error,
    )
