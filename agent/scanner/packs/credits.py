"""Whom to name where a rule of others finds something: their licences ask for it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credit:
    """Whose rules those of a namespace are.

    Attributes:
        folder: What the namespaces of these rules begin with, `/` included.
        text: As findings show it: attribution and licence.
    """

    folder: str
    text: str


def credit_of(namespace: str, credits_: Iterable[Credit]) -> str:
    """Whom to credit for a rule; empty: nobody was named."""
    return next((credit.text for credit in credits_ if namespace.startswith(credit.folder)), "")
