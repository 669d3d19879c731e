"""Passwords, codes and tokens: typed where nobody sees them, or piped in, a line each; never arguments."""

import getpass
import sys

from controlplane.runtime.refusal import Kind, Refusal


def read_secret(what: str) -> str:
    """Ask for a secret on a terminal, else read one line of standard input.

    Args:
        what: `password`, `new password`, `code`, `token`.

    Raises:
        Refusal: SECRET_MISSING.
    """
    asked = sys.stdin.isatty()
    secret = getpass.getpass(f"{what.capitalize()}: ") if asked else sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise Refusal(
            Kind.INVALID,
            "SECRET_MISSING",
            f"there is no {what}",
            "Type it, or pipe it into standard input, a line each in the order in which they are asked for",
        )
    return secret
