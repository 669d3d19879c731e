"""Which exclusion would save most scan time, and what it would leave unprotected. Advice only; nobody acts on it.

Only a folder of its own can be suggested. Where anything may arrive (temporary folders, downloads, whole homes), where
programs of the system are, and near the root nothing is: the time is named, and why it stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.domain.costs import CostKind, CostReport

#: A folder that costs less than this share of all scan time is not worth a hole.
WORTH_SHARE = 0.2
#: Nor is one on a machine where scanning cost less than this in all, in microseconds.
WORTH_US = 10_000_000
#: The deeper folder is suggested while it has this share of the shallower one's cost.
_NEARLY_ALL = 0.9
_AT_MOST = 3
#: Where the system and its programs are; only root can write there, and everything that runs does so from there.
_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/run", "/sbin", "/sys", "/usr",
    "/Applications", "/Library", "/System",
)  # fmt: skip
_SHARED = ("/dev/shm", "/private/tmp", "/private/var/tmp", "/tmp", "/var/tmp")  # noqa: S108 -- named, not used
#: Folders with such a name are where browsers and mail programs put what came from outside.
_ARRIVALS = frozenset({"download", "downloads", "desktop", "mail", "attachments", "temp", "tmp"})
_HOMES = ("/home", "/Users")
#: Folders that are a person's as a whole, one level below the home.
_WHOLESALE = frozenset({"documents", "pictures", "music", "videos", "library", ".config", ".local", ".cache"})


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One exclusion that would help.

    Attributes:
        path: What to exclude.
        share: Of all scan time, 0 to 1: saved at least.
        cause: The process that caused most of all scans in the window.
        risk: One sentence: what goes unseen then.
        command: What to type.
    """

    path: str
    share: float
    cause: str
    risk: str
    command: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """A folder that costs much and is scanned all the same, and why."""

    path: str
    share: float
    reason: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What could be done about what scanning costs; empty: nothing worth a hole."""

    suggestions: tuple[Suggestion, ...] = ()
    withheld: tuple[Withheld, ...] = ()


def advise(report: CostReport) -> Advice:
    """Judge a window's folders, the costliest first."""
    if report.microseconds < WORTH_US:
        return Advice()
    costs = _with_everything_below(report)
    worth = {path: cost for path, cost in costs.items() if cost >= WORTH_SHARE * report.microseconds}
    leaves = [path for path in worth if not _has_nearly_same_below(path, worth)]
    cause = next((line.name for line in report.lines[CostKind.PROCESS]), "")
    suggestions: list[Suggestion] = []
    withheld: list[Withheld] = []
    for path in sorted(leaves, key=lambda path: (-worth[path], path)):
        share = worth[path] / report.microseconds
        reason = refusal_of(path)
        if reason:
            withheld.append(Withheld(path, share, reason))
        elif not any(_is_below(path, taken.path) or _is_below(taken.path, path) for taken in suggestions):
            suggestions.append(Suggestion(path, share, cause, _risk(path), _command(path)))
    return Advice(tuple(suggestions[:_AT_MOST]), _not_told_twice(withheld, suggestions)[:_AT_MOST])


def refusal_of(path: str) -> str:
    """Why a folder is never suggested; empty: it may be."""
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or ".." in parts or any(not part.isprintable() for part in parts):
        return "its name cannot be relied on"
    if any(_is_in(path, shared) for shared in _SHARED):
        return "every program may write there"
    if any(_is_in(path, system) for system in _SYSTEM):
        return "programs of the system run from there"
    if any(part.lower() in _ARRIVALS for part in parts):
        return "files from outside arrive there"
    below = _below_home(path)
    if below is None and len(parts) < 2:  # noqa: PLR2004 -- a folder right below the root
        return "that is a large part of the machine"
    if below is not None and (not below or (len(below) == 1 and below[0].lower() in _WHOLESALE)):
        return "that is a large part of what somebody keeps"
    return ""


def _below_home(path: str) -> list[str] | None:
    """The parts below somebody's home; None: it lies in nobody's."""
    parts = [part for part in path.split("/") if part]
    if any(_is_in(path, homes) for homes in _HOMES):
        return parts[2:]
    return parts[1:] if parts[:1] == ["root"] else None


def _with_everything_below(report: CostReport) -> dict[str, int]:
    costs: dict[str, int] = {}
    for line in report.lines[CostKind.FOLDER]:
        path = line.name
        while path not in {"", "/"}:
            costs[path] = costs.get(path, 0) + line.microseconds
            path = path.rpartition("/")[0]
    return costs


def _has_nearly_same_below(path: str, worth: dict[str, int]) -> bool:
    """Whether one folder further down costs nearly as much, or several of them do together and may be told apart."""
    below = [other for other in worth if other.rpartition("/")[0] == path]
    return bool(below) and (bool(refusal_of(path)) or sum(worth[other] for other in below) >= _NEARLY_ALL * worth[path])


def _not_told_twice(withheld: Sequence[Withheld], suggested: Sequence[Suggestion]) -> tuple[Withheld, ...]:
    """Whoever is offered a folder need not hear that the one around it is not offered."""
    return tuple(item for item in withheld if not any(_is_below(taken.path, item.path) for taken in suggested))


def _is_in(path: str, folder: str) -> bool:
    return path == folder or _is_below(path, folder)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _risk(path: str) -> str:
    if _below_home(path) is not None:
        who = "every program this person runs, a compromised build tool or package script too, can write there"
    else:
        who = "whoever may write there, a service with a hole too, can put a file there"
    return f"what arrives in {path} is neither scanned nor blocked from then on, and {who}"


def _command(path: str) -> str:
    quoted = "'" + path.replace("'", "'\\''") + "'"
    return f"buckler exclusion add {quoted} --reason 'scan time' --days 30"
