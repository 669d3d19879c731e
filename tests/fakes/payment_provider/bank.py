"""The bank behind the fake: customers, payment methods, charges, refunds, idempotency keys, faults and events.

It answers with the status and the JSON that Stripe would answer with, as far as the adapter can notice.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Any

from controlplane.billing.providers.signature import sign
from controlplane.runtime.clock import Clock
from controlplane.storage.types import to_microseconds

SECRET_KEY = "sk_test_of_the_fake"
WEBHOOK_SECRET = "whsec_of_the_fake"

#: Cards that customers may enter, and what their bank says to a charge; None: it pays. A token is a card's name, with
#: `-` and anything behind it to tell customers' cards apart.
CARDS: Mapping[str, str | None] = {
    "pm_good": None,
    "pm_other": None,
    "pm_no_funds": "insufficient_funds",
    "pm_lost": "lost_card",
    "pm_expired": "expired_card",
    "pm_3ds": "authentication_required",
    "pm_odd": "a_code_from_next_year",
    "pm_slow": "processing",
}


class Fault(Enum):
    """What goes wrong with the next call of an operation; each is used up by it."""

    #: It happened, and the connection broke before the answer.
    DONE_THEN_LOST = "done_then_lost"
    #: It happened, and the answer was a 500.
    DONE_THEN_500 = "done_then_500"
    #: Nothing happened, and the connection broke.
    LOST = "lost"
    #: Nothing happened, and the answer was a 500 that is not remembered.
    BROKEN_500 = "broken_500"
    #: Nothing happened: too many requests.
    BUSY_429 = "busy_429"
    #: Nothing happened yet; it will, long after the connection broke (`arrive_late`).
    LATE = "late"


class LostConnectionError(Exception):
    """No answer will come."""


Answer = tuple[int, dict[str, Any]]
Params = Mapping[str, Any]


@dataclass
class _Remembered:
    body: str
    answer: Answer


@dataclass
class FakeBank:
    """State of the provider; safe to use from several threads.

    Attributes:
        clock: Simulated time: of charges, keys and events.
        delay: Called before every answer; tests put a wait here.
    """

    clock: Clock
    delay: Callable[[], None] = lambda: None
    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    methods: dict[str, str | None] = field(default_factory=dict)
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    _keys: dict[str, _Remembered] = field(default_factory=dict)
    _faults: dict[str, deque[Fault]] = field(default_factory=dict)
    _late: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # ------------------------------------------------------------ for tests

    def fail_next(self, operation: str, *faults: Fault) -> None:
        """Let the next calls of `charge`, `refund`, `list`, `attach` or `customer` go wrong."""
        self._faults.setdefault(operation, deque()).extend(faults)

    def forget_faults(self) -> None:
        """Let everything go well from now on."""
        self._faults.clear()

    def captured(self) -> list[dict[str, Any]]:
        """Charges that took money."""
        return [intent for intent in self.intents.values() if intent["status"] == "succeeded"]

    def balance(self) -> int:
        """What was taken less what was given back, in the provider's numbers."""
        taken: int = sum(intent["amount"] for intent in self.captured())
        given: int = sum(refund["amount"] for refund in self.refunds.values() if refund["status"] == "succeeded")
        return taken - given

    def settle(self, intent_id: str, *, decline: str | None = None) -> None:
        """A charge that was being processed, or waited for its customer, comes to its end."""
        with self._lock:
            self._conclude(self.intents[intent_id], decline)

    def arrive_late(self) -> None:
        """Requests that hung in the network arrive now."""
        with self._lock:
            for operation, params in self._late:
                self._perform(operation, params)
            self._late.clear()

    def charge_by_hand(self, customer: str, amount: int, currency: str) -> dict[str, Any]:
        """Somebody makes a charge in the provider's own pages."""
        with self._lock:
            params = {"customer": customer, "payment_method": "pm_good", "amount": amount, "currency": currency}
            return self._charge(params)[1]

    def webhook(self, event: Mapping[str, Any], *, secret: str = WEBHOOK_SECRET) -> tuple[bytes, str]:
        """Body and signature header of an event, signed at this moment."""
        body = json.dumps(event).encode()
        return body, sign(body, secret, self.clock.now())

    # ------------------------------------------------------------ the interface

    def handle(self, method: str, path: str, params: Params, key: str) -> Answer:
        """Answer one request.

        Raises:
            LostConnectionError: A fault says that no answer comes.
        """
        with self._lock:
            self.requests.append((method, path))
            operation = _operation(method, path)
            queue = self._faults.get(operation)
            fault = queue.popleft() if queue else None
            answer = self._with_fault(fault, operation, {**params, "path": path}, key)
        self.delay()
        return answer

    def _with_fault(self, fault: Fault | None, operation: str, params: dict[str, Any], key: str) -> Answer:
        if fault is Fault.LATE:
            self._late.append((operation, params))
            raise LostConnectionError
        if fault is Fault.LOST:
            raise LostConnectionError
        if fault is Fault.BROKEN_500:
            return _error(500, "api_error", "")
        if fault is Fault.BUSY_429:
            return _error(429, "rate_limit_error", "rate_limit")
        answer = self._once(operation, params, key)
        if fault is Fault.DONE_THEN_LOST:
            raise LostConnectionError
        if fault is Fault.DONE_THEN_500:
            return _error(500, "api_error", "")
        return answer

    def _once(self, operation: str, params: dict[str, Any], key: str) -> Answer:
        """The same key is the same call: it gets the same answer, and another body is a mistake."""
        if not key:
            return self._perform(operation, params)
        body = json.dumps(params, sort_keys=True)
        known = self._keys.get(key)
        if known is not None:
            return known.answer if known.body == body else _error(400, "idempotency_error", "")
        answer = self._perform(operation, params)
        if answer[0] != 429:
            self._keys[key] = _Remembered(body, answer)
        return answer

    def _perform(self, operation: str, params: dict[str, Any]) -> Answer:
        handlers: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "charge": self._charge,
            "refund": self._refund,
            "list": self._list,
            "get": self._get,
            "attach": self._attach,
            "detach": self._detach,
            "customer": self._customer,
        }
        return handlers[operation](params) if operation in handlers else _error(404, "invalid_request_error", "")

    def _customer(self, params: dict[str, Any]) -> Answer:
        customer = {"id": self._id("cus"), "object": "customer", "metadata": params.get("metadata", {})}
        self.customers[customer["id"]] = customer
        return 200, customer

    def _attach(self, params: dict[str, Any]) -> Answer:
        token = params["path"].split("/")[3]
        if _card_name(token) not in CARDS:
            return _error(404, "invalid_request_error", "resource_missing")
        if self.methods.get(token) not in {None, params["customer"]}:
            return _error(400, "invalid_request_error", "payment_method_unexpected_state")
        self.methods[token] = params["customer"]
        return 200, _card(token)

    def _detach(self, params: dict[str, Any]) -> Answer:
        token = params["path"].split("/")[3]
        if self.methods.get(token) is None:
            return _error(400, "invalid_request_error", "payment_method_unexpected_state")
        self.methods[token] = None
        return 200, _card(token)

    def _charge(self, params: dict[str, Any]) -> Answer:
        token = params["payment_method"]
        intent = {
            "id": self._id("pi"),
            "object": "payment_intent",
            "amount": int(params["amount"]),
            "currency": params["currency"],
            "customer": params["customer"],
            "metadata": params.get("metadata", {}),
            "created": self._seconds(),
            "status": "processing",
            "last_payment_error": None,
            "next_action": None,
        }
        if self.methods.get(token) != params["customer"] and "path" in params:
            return _error(400, "invalid_request_error", "payment_method_unexpected_state")
        self.intents[intent["id"]] = intent
        says = CARDS[_card_name(token)]
        if says == "processing":
            return 200, dict(intent)
        if says == "authentication_required" and params.get("off_session") == "false":
            intent["status"] = "requires_action"
            intent["next_action"] = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.invalid/3ds"}}
            return 200, dict(intent)
        self._conclude(intent, says)
        if says is None:
            return 200, dict(intent)
        return 402, {"error": {**intent["last_payment_error"], "payment_intent": dict(intent)}}

    def _conclude(self, intent: dict[str, Any], decline: str | None) -> None:
        intent["next_action"] = None
        if decline is None:
            intent["status"], kind = "succeeded", "payment_intent.succeeded"
        else:
            intent["status"], kind = "requires_payment_method", "payment_intent.payment_failed"
            intent["last_payment_error"] = {
                "type": "card_error",
                "code": "card_declined",
                "decline_code": decline,
                "message": "declined",
            }
        self.events.append({"id": self._id("evt"), "object": "event", "type": kind, "data": {"object": dict(intent)}})

    def _refund(self, params: dict[str, Any]) -> Answer:
        intent, amount = self.intents.get(params["payment_intent"]), int(params["amount"])
        if intent is None or intent["status"] != "succeeded":
            return _error(400, "invalid_request_error", "payment_intent_unexpected_state")
        given = sum(each["amount"] for each in self._refunds_of(intent["id"]) if each["status"] != "failed")
        if given + amount > intent["amount"]:
            return _error(400, "invalid_request_error", "charge_already_refunded")
        refund = {
            "id": self._id("re"),
            "object": "refund",
            "payment_intent": intent["id"],
            "amount": amount,
            "currency": intent["currency"],
            "metadata": params.get("metadata", {}),
            "status": "succeeded",
        }
        self.refunds[refund["id"]] = refund
        return 200, dict(refund)

    def _get(self, params: dict[str, Any]) -> Answer:
        intent = self.intents.get(params["path"].split("/")[3])
        return (200, dict(intent)) if intent else _error(404, "invalid_request_error", "resource_missing")

    def _list(self, params: dict[str, Any]) -> Answer:
        if params["path"] == "/v1/refunds":
            found = self._refunds_of(params["payment_intent"])
        else:
            since = int(params.get("created", {}).get("gte", 0))
            found = [
                each
                for each in self.intents.values()
                if each["customer"] == params["customer"] and each["created"] >= since
            ]
        newest = list(reversed(found))
        if "starting_after" in params:
            newest = newest[[each["id"] for each in newest].index(params["starting_after"]) + 1 :]
        # Small pages: whoever reads only the first one is found out.
        page = [dict(each) for each in newest[:2]]
        return 200, {"object": "list", "url": params["path"], "data": page, "has_more": len(newest) > len(page)}

    def _refunds_of(self, intent_id: str) -> list[dict[str, Any]]:
        return [each for each in self.refunds.values() if each["payment_intent"] == intent_id]

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):06d}"

    def _seconds(self) -> int:
        return to_microseconds(self.clock.now()) // 1_000_000


def _operation(method: str, path: str) -> str:
    room, *rest = path.removeprefix("/v1/").split("/")
    if room == "payment_methods" and len(rest) == 2:
        return rest[1]
    if method == "GET":
        return "get" if rest else "list"
    return {"customers": "customer", "payment_intents": "charge", "refunds": "refund"}.get(room, "unknown")


def _card_name(token: str) -> str:
    return token.partition("-")[0]


def _card(token: str) -> dict[str, Any]:
    card = {"brand": "visa", "last4": "4242", "exp_year": 2031, "exp_month": 8}
    return {"id": token, "object": "payment_method", "type": "card", "card": card}


def _error(status: int, kind: str, code: str) -> Answer:
    return status, {"error": {"type": kind, "code": code or None, "message": f"the fake says {code or kind}"}}
