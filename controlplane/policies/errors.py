"""How this capability says no."""

from controlplane.runtime.refusal import Kind, Refusal


def policy_not_found(name: str) -> Refusal:
    """`name` has been checked for harmlessness."""
    return Refusal(
        Kind.NOT_FOUND,
        "POLICY_NOT_FOUND",
        f"your organisation has no policy {name!r}",
        "List the policies: bucklerctl policy list",
        facts={"policy": name},
    )


def policy_invalid(key: str, why: str) -> Refusal:
    """The document cannot be used; `why` continues the sentence "the key … "."""
    return Refusal(
        Kind.INVALID,
        "POLICY_INVALID",
        f"{key} {why}" if key else why,
        "Correct it; docs/policies.md lists every key",
        facts={"key": key},
    )


def rollout_over(state: str) -> Refusal:
    """There is nothing left to pause or resume."""
    return Refusal(
        Kind.PRECONDITION,
        "ROLLOUT_OVER",
        f"this rollout is {state}, there is nothing to hold",
        "Apply another revision: bucklerctl policy apply",
        facts={"state": state},
    )


def too_many_policies(most: int) -> Refusal:
    """A bound on what each check-in has to look at."""
    return Refusal(
        Kind.PRECONDITION,
        "POLICIES_TOO_MANY",
        f"an organisation has at most {most} policies",
        "Remove one that is not used any more: bucklerctl policy remove",
    )


def too_many_labels(most: int) -> Refusal:
    """A bound on what each check-in has to read."""
    return Refusal(
        Kind.PRECONDITION,
        "LABELS_TOO_MANY",
        f"a device has at most {most} labels",
        "Remove one that is not used any more: bucklerctl device label remove",
    )
