"""How the catalog says no."""

from controlplane.runtime.refusal import Kind, Refusal


def catalog_invalid(key: str, problem: str) -> Refusal:
    """A file that is no catalog; names the key."""
    return Refusal(
        Kind.INVALID,
        "CATALOG_INVALID",
        f"the catalog is not valid at {key}: {problem}",
        "Correct it and apply the file again; nothing was changed",
        facts={"key": key},
    )


def version_in_use(version: int) -> Refusal:
    """Somebody bought from this version: what it says is a promise."""
    return Refusal(
        Kind.PRECONDITION,
        "CATALOG_VERSION_IN_USE",
        f"catalog version {version} has subscriptions, so what it says cannot change",
        f"Set version = {version + 1} in the file and apply it: new subscriptions use the newest version",
        facts={"version": str(version)},
    )


def plan_unknown(plan_id: str, known: str) -> Refusal:
    """No such plan on sale."""
    return Refusal(
        Kind.NOT_FOUND,
        "PLAN_UNKNOWN",
        f"there is no plan {plan_id!r} in the newest catalog",
        f"Choose one of: {known}" if known else "Apply a catalog first: buckler-server catalog apply FILE",
        facts={"plan_id": plan_id},
    )
