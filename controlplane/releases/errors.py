"""How the signature library says no."""

from controlplane.runtime.refusal import Kind, Refusal


def name_invalid(name: str) -> Refusal:
    """The name cannot be a folder and a namespace."""
    return Refusal(
        Kind.INVALID,
        "PACK_NAME_INVALID",
        f"{name!r} cannot be the name of a pack",
        "Use up to 63 of a-z, 0-9, dot, dash and underscore, the first a letter or digit",
    )


def unreadable(source: str, why: str) -> Refusal:
    """What was handed in cannot be read."""
    return Refusal(
        Kind.INVALID,
        "PACK_UNREADABLE",
        f"the rules {source} cannot be read: {why}",
        "Name a .yar or .yara file, a folder or a zip archive that holds some",
        facts={"source": source},
    )


def licence_missing(source: str) -> Refusal:
    """Nothing says under which terms these rules may be used."""
    return Refusal(
        Kind.INVALID,
        "PACK_LICENCE_MISSING",
        f"{source} holds no licence file that is known",
        "Look up its terms and name them: --licence NAME --attribution WHOM",
        facts={"source": source},
    )


def attribution_missing(source: str) -> Refusal:
    """Nothing says whom to credit."""
    return Refusal(
        Kind.INVALID,
        "PACK_ATTRIBUTION_MISSING",
        f"the licence of {source} names nobody to credit",
        "Name its authors: --attribution WHOM",
        facts={"source": source},
    )


def pack_unknown(name: str, known: str) -> Refusal:
    """No such pack."""
    return Refusal(
        Kind.NOT_FOUND,
        "PACK_UNKNOWN",
        f"there is no pack {name!r}",
        f"Choose one of: {known}" if known else "Import one first: buckler-server signatures import NAME FILE",
        facts={"pack": name},
    )


def nothing_left(what: str) -> Refusal:
    """A bundle without rules would protect nobody."""
    return Refusal(
        Kind.PRECONDITION,
        "BUNDLE_EMPTY",
        f"no rule of {what} can be used",
        "See why: buckler-server signatures show NAME",
    )


def bundle_unsound(reason: str) -> Refusal:
    """What was built does not compile as a whole; nothing was written."""
    return Refusal(
        Kind.PRECONDITION,
        "BUNDLE_UNSOUND",
        f"the bundle does not compile: {reason}",
        "Leave its pack out with --pack, and report this",
    )


def scanner_failed(why: str) -> Refusal:
    """`buckler` judges rules, and could not."""
    return Refusal(
        Kind.ENVIRONMENT,
        "SCANNER_FAILED",
        f"buckler could not judge the rules: {why}",
        "Run `buckler rules check` on them by hand; it must be installed beside buckler-server",
    )
