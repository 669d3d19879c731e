"""Which of the locked packages an installation needs: the lock file also holds what developers use."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)(?=[=\[ ])")


def needed_by(package: str, extras: frozenset[str]) -> frozenset[str]:
    """Names of everything a package needs on this machine, as installed here, itself left out.

    Args:
        package: Installed.
        extras: Of it.
    """
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [(canonicalize_name(package), extras)]
    while waiting:
        item = waiting.pop()
        if item not in found:
            found.add(item)
            waiting += [(canonicalize_name(r.name), frozenset(r.extras)) for r in _requirements(*item)]
    return frozenset(name for name, _ in found) - {canonicalize_name(package)}


def _requirements(package: str, extras: frozenset[str]) -> Iterator[Requirement]:
    try:
        texts = requires(package) or []
    except PackageNotFoundError as error:
        raise LookupError(f"{package} is needed and not installed here; run `make setup` first") from error
    for text in texts:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""})):
            yield requirement


def part_of_lock(lock: str, names: frozenset[str]) -> str:
    """The entries of these packages, hashes included.

    Raises:
        LookupError: One of them is not locked.
    """
    entries: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lock.splitlines():
        start = _ENTRY.match(line)
        if start:
            current = entries.setdefault(canonicalize_name(start[1]), [])
        if not line.lstrip().startswith("#"):
            current.append(line)
    missing = sorted(names - entries.keys())
    if missing:
        raise LookupError(f"not in the lock file: {', '.join(missing)}; lock again, its first lines say how")
    return "\n".join("\n".join(entries[name]) for name in sorted(names)) + "\n"
