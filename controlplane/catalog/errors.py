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


def version_out_of_order(version: int, other: int) -> Refusal:
    """The newest version that is valid is on sale, so versions have to become valid in their order."""
    return Refusal(
        Kind.PRECONDITION,
        "CATALOG_OUT_OF_ORDER",
        f"catalog version {version} would not come on sale in its order beside version {other}",
        "Set a version above every other, and a valid_from after theirs; see: buckler-server catalog list",
        facts={"version": str(version), "other": str(other)},
    )


def plan_unknown(plan_id: str, known: str) -> Refusal:
    """No such plan on sale."""
    return Refusal(
        Kind.NOT_FOUND,
        "PLAN_UNKNOWN",
        f"there is no plan {plan_id!r} in the catalog that is on sale",
        f"Choose one of: {known}" if known else "Apply a catalog first: buckler-server catalog apply FILE",
        facts={"plan_id": plan_id},
    )
