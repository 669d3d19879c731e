"""What one scan walks, and what it leaves out on the way."""

from itertools import chain
from typing import TYPE_CHECKING

from agent.cli.scan.request import ScanRequest, ScanWiring, Selection
from agent.domain.exclusions import ExclusionKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.scanner.walk.tree import FoundFile, OpenedFile, Recall


class PathExclusions:
    """What is not looked at: the owner's exclusions of paths, and places that this kind of scan does not enter.

    Args:
        request: Names both.
        wiring: Judges what has expired.
    """

    def __init__(self, request: ScanRequest, wiring: ScanWiring) -> None:
        self._by_path = tuple(e for e in request.policy.exclusions if e.kind is ExclusionKind.PATH)
        self._not_entered = frozenset(folder.path for folder in request.targets.skipped)
        self._clock = wiring.clock
        #: How often a path was left out because of an exclusion.
        self.met = 0

    @property
    def any(self) -> bool:
        """False: there is nothing to ask about."""
        return bool(self._by_path or self._not_entered)

    def covers(self, path: str) -> bool:
        """Whether a path is left out."""
        return path in self._not_entered or self._is_excluded(path)

    def leaves_out(self, path: str) -> bool:
        """Whether a path is left out; to be asked once for each, since the answers are counted."""
        if path in self._not_entered:
            return True
        is_excluded = self._is_excluded(path)
        self.met += is_excluded
        return is_excluded

    def _is_excluded(self, path: str) -> bool:
        if not self._by_path:
            return False
        now = self._clock.now()
        return any(exclusion.applies_to(path, now) for exclusion in self._by_path)


def walk(request: ScanRequest, excluded: PathExclusions, recall: "Recall") -> "Iterator[FoundFile]":
    """All files of a request, which is not one for processes."""
    from agent.scanner.walk.tree import find_files

    named = request.targets.paths
    if request.targets.selection is not Selection.PATHS:
        # What a person names is looked at whatever they excluded before; what we find by ourselves is not.
        named = tuple(path for path in named if not excluded.leaves_out(path))
    is_excluded = excluded.leaves_out if excluded.any else None
    return chain(_nameless_programs(request), *(find_files(path, is_excluded, recall) for path in named))


def _nameless_programs(request: ScanRequest) -> "Iterator[OpenedFile]":
    """What runs although its file is gone belongs to what runs."""
    if request.targets.selection is not Selection.QUICK:
        return iter(())
    from agent.scanner.walk.quick_targets import open_nameless, running_files

    return open_nameless(running_files())
