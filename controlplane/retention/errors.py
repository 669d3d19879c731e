"""How this capability says no."""

from collections.abc import Sequence

from controlplane.runtime.refusal import Kind, Refusal


def rule_unknown(name: str, names: Sequence[str]) -> Refusal:
    """There is no such rule."""
    return _invalid(f"has no {name!r}", f"It knows {', '.join(names)}")


def period_invalid(name: str, least: int, most: int) -> Refusal:
    """Too short, too long or no number."""
    return _invalid(
        f"does not say how long {name} are kept", f'Write a number of days from {least} to {most}, or "forever"'
    )


def _invalid(why: str, next_step: str) -> Refusal:
    return Refusal(Kind.ENVIRONMENT, "RETENTION_INVALID", f"[retention] in the settings {why}", next_step)
