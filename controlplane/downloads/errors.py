"""How downloads say no."""

from controlplane.runtime.refusal import Kind, Refusal


def downloads_invalid(key: str, problem: str) -> Refusal:
    """A file that is no download table; names the key."""
    return Refusal(
        Kind.INVALID,
        "DOWNLOADS_INVALID",
        f"the download table is not valid at {key}: {problem}",
        "Correct it and apply the file again; nothing was changed",
        facts={"key": key},
    )


def version_taken(version: int, newest: int) -> Refusal:
    """Published tables do not change."""
    return Refusal(
        Kind.PRECONDITION,
        "DOWNLOADS_VERSION_TAKEN",
        f"download table {version} is not newer than {newest}, which is published and says something else",
        f"Set version = {newest + 1} in the file and apply it",
        facts={"version": str(version), "newest": str(newest)},
    )


def none_published() -> Refusal:
    """The operator has published nothing."""
    return Refusal(
        Kind.NOT_FOUND,
        "DOWNLOADS_NONE",
        "no download table is published",
        "Ask whoever runs the server to apply one: buckler-server downloads apply FILE",
    )


def nothing_fits(reason: str, message: str, next_step: str) -> Refusal:
    """No build fits the machine."""
    return Refusal(Kind.PRECONDITION, reason, message, next_step)
