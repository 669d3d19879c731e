"""The texts of notices, one per kind: a subject, what happened, what happens next and what the reader can do.

Every text names the day on which something changes and the command that stops it. No telephone number, no link: mails
with either are what impostors send.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final

from controlplane.notices.model import NoticeKind, Rendered

_STOP: Final = "To stop it: bucklerctl subscription auto-renew off {subscription_id}"
_FLOOR: Final = "Your devices stay protected: real-time protection, local scans and the quarantine go on working."


@dataclass(frozen=True, slots=True)
class _Text:
    """Fields in braces are filled in; the body is a list of paragraphs."""

    subject: str
    body: tuple[str, ...]


_TEXTS: Final[Mapping[NoticeKind, _Text]] = {
    NoticeKind.RENEWAL: _Text(
        "{plan} renews on {day} for {amount}",
        (
            "Your subscription {plan} renews by itself on {day}. {amount} will be charged on that day, not before.",
            "The last period cost {old_amount}.",
            _STOP,
        ),
    ),
    NoticeKind.TRIAL_END: _Text(
        "Your trial of {plan} ends on {day}; {amount} will be charged then",
        (
            "Your trial of {plan} ends on {day}. On that day the first period begins and {amount} will be charged.",
            "If you do not want that, turn renewal off before that day; nothing is charged then.",
            _STOP,
        ),
    ),
    NoticeKind.PRICE_CHANGE: _Text(
        "The price of {plan} changes on {day}: {amount} instead of {old_amount}",
        (
            "From {day} on {plan} costs {amount} per period instead of {old_amount}.",
            "What you have paid for is not affected. Without this notice the old price would still hold.",
            _STOP,
        ),
    ),
    NoticeKind.TERMS_CHANGE: _Text(
        "What {plan} includes changes on {day}",
        (
            "From {day} on this is different about {plan}: {changes}.",
            "A period costs {amount} from then on; the last one cost {old_amount}.",
            "What you have paid for is not affected. Without this notice the old terms would still hold.",
            _STOP,
        ),
    ),
    NoticeKind.PAYMENT_FAILED: _Text(
        "We could not collect {amount} for {plan}",
        (
            "On {day} {amount} for {plan} could not be collected: {why}.",
            "{next}",
            "Until {access_day} nothing changes on your devices. " + _FLOOR,
            "To pay now: bucklerctl payment-method add TOKEN, or bucklerctl invoice pay {invoice}",
        ),
    ),
    NoticeKind.CARD_EXPIRING: _Text(
        "Your card ending in {last4} expires before {plan} renews",
        (
            "{plan} renews on {day}, but the card ending in {last4} expires at the end of {expires}.",
            "Add another one in time: bucklerctl payment-method add TOKEN",
        ),
    ),
    NoticeKind.ENDING: _Text(
        "{plan} ends on {day}",
        (
            "Renewal of {plan} is off, so it ends on {day}. Nothing will be charged.",
            _FLOOR,
            "To keep it: bucklerctl subscription auto-renew on {subscription_id}",
        ),
    ),
    NoticeKind.ACCESS_CHANGED: _Text(
        "{plan}: access is {access} since {day}",
        (
            "Since {day} the access of your devices is {access} ({reason}).",
            _FLOOR,
            "Devices, settings and quarantine are kept until {kept_until}.",
            "To come back with all of them: bucklerctl subscription resume {subscription_id}",
        ),
    ),
    NoticeKind.INACTIVE: _Text(
        "Nobody has used {plan} for a year",
        (
            "None of your devices has been in contact since {last_seen}, and {plan} renews on {day} for {amount}.",
            "If you do not need it any more, turn renewal off.",
            _STOP,
        ),
    ),
    NoticeKind.AUTO_RENEW_ON: _Text(
        "Receipt: {plan} renews by itself again",
        ("Renewal was turned on at {at}. {plan} renews on {day}; you will be told the amount before.", _STOP),
    ),
    NoticeKind.AUTO_RENEW_OFF: _Text(
        "Receipt: {plan} does not renew any more",
        (
            "Renewal was turned off at {at}, with effect at once. It stays off until you turn it on.",
            "{plan} can be used until {day}. Nothing will be charged.",
        ),
    ),
    NoticeKind.CANCELLED: _Text(
        "Receipt: {plan} is cancelled and ends on {day}",
        (
            "You cancelled {plan} at {at}. It can be used until {day}; nothing more will be charged.",
            "Devices, settings and quarantine are kept until {kept_until}.",
            "To undo it: bucklerctl subscription undo {subscription_id}",
        ),
    ),
    NoticeKind.PLAN_CHANGED: _Text(
        "{old_plan} becomes {plan} on {day}",
        (
            "You changed {old_plan} to {plan}, from {day} on.",
            "To undo it: bucklerctl subscription undo {subscription_id}",
        ),
    ),
    NoticeKind.SEAT_RECLAIMED: _Text(
        "A device that was not seen any more gave up its seat",
        ("A device needed a seat and got that of one that nobody had seen for 30 days.", "{facts}"),
    ),
    NoticeKind.SEATS_SURPLUS: _Text(
        "Choose which devices keep their seat",
        (
            "Your plan covers fewer devices than hold a seat: {surplus} too many. Choose until {choose_until}.",
            "To choose: bucklerctl seat release DEVICE, or bucklerctl seat pin DEVICE",
        ),
    ),
    NoticeKind.SEAT_LOST: _Text(
        "A device lost its seat",
        ("The time to choose is over, and this device was the next by the published order.", _FLOOR, "{facts}"),
    ),
    NoticeKind.DEVICE_REBOUND: _Text(
        "A device came back under a new key",
        (
            "A machine that was re-installed kept its seat.",
            "Not yours? Release it: bucklerctl seat release DEVICE",
            "{facts}",
        ),
    ),
    NoticeKind.DEVICE_COPIED: _Text(
        "Two machines look like one",
        ("A second machine shows the evidence of one that is still in contact: a copied image.", "{facts}"),
    ),
    NoticeKind.DEVICE_CLONED: _Text(
        "Two machines call as the device {device_name}",
        (
            "The device was copied after it was activated. Both machines stay protected and report what they find.",
            "Nothing is asked of either until they are told apart.",
            "On the copy: buckler activate --new-key",
            "Then, if it is still held: bucklerctl device release-hold {device_id}",
        ),
    ),
    NoticeKind.DEVICE_REVOKED: _Text(
        "The identity of the device {device_name} was revoked",
        (
            "It is refused from now on and its seat is free. The reason that was given: {reason}.",
            "That is final: the machine comes back only as a new device, with an activation key made after this.",
            "If it may hold an activation key, revoke that too: bucklerctl key list, bucklerctl key revoke KEY",
            "To see who did it: bucklerctl audit list --subject {device_id}",
        ),
    ),
}


def render(kind: NoticeKind, facts: Mapping[str, str]) -> Rendered:
    """Subject, text and HTML of a notice.

    Raises:
        KeyError: The text needs a fact that is not there: a mistake of the caller's.
    """
    told = _TEXTS[kind]
    listed = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in sorted(facts.items()))
    fields = {name: _one_line(value) for name, value in {**facts, "facts": listed}.items()}
    paragraphs = [paragraph.format_map(fields) for paragraph in told.body]
    subject = told.subject.format_map(fields)
    text = "\n\n".join([*paragraphs, "-- \nBuckler"]) + "\n"
    html = "".join(f"<p>{escape(paragraph)}</p>\n" for paragraph in paragraphs)
    page = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(subject)}</title></head>\n'
    return Rendered(subject, text, f"{page}<body>\n{html}</body></html>\n")


def _one_line(value: str) -> str:
    """Names come from devices and people: none of them can begin a header or a paragraph of its own."""
    return "".join(letter if letter.isprintable() else " " for letter in value)
