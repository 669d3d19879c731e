"""Walks a file and everything inside it, however deep, within its budget."""

from collections.abc import Callable

from agent.domain.facts import Incomplete
from agent.scanner.containers.budget import Budget, LimitReachedError, Meter, Scope
from agent.scanner.containers.family import ContainerError, Content, Family, Member
from agent.scanner.containers.recognition import Recognition


class Walk:
    """One walk of one file.

    Args:
        formats: To open.
        budget: Of this file.
        visit: Called with every content, a container before its members; may raise `LimitReachedError`.
    """

    def __init__(self, formats: Recognition, budget: Budget, visit: Callable[[Content], None]) -> None:
        self._formats = formats
        self._budget = budget
        self._visit = visit
        #: What was not looked at, in the order it was met.
        self.incomplete: list[Incomplete] = []

    def run(self, content: Content) -> None:
        """Look at a file and all that is in it. What could not be looked at is in `incomplete` afterwards.

        Raises:
            MemoryError: The process is at its limit; `incomplete` holds what was known before.
        """
        try:
            self._walk(content)
        except LimitReachedError as reached:
            self.incomplete.append(reached.as_incomplete())

    def _walk(self, content: Content) -> None:
        self._visit(content)
        for family in self._formats.formats_of(content.data):
            if content.depth >= self._budget.limits.max_depth:
                self._note("max_depth", content, self._budget.limits.max_depth)
            else:
                self._open(family, content)

    def _open(self, family: Family, content: Content) -> None:
        try:
            members = family.members(content, Meter(self._budget, len(content.data)))
            for member in self._budget.costs.unpacking(family.name, members):
                self._budget.count_member()
                self._take(member, content)
        except LimitReachedError as reached:
            if reached.scope is Scope.FILE:
                raise
            self._note(reached.limit, content, reached.value)
        except ContainerError as error:
            self._note(error.reason, content)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 -- supervision point: hostile bytes make parsers raise what they like
            self._note("damaged", content)

    def _take(self, member: Member, container: Content) -> None:
        trail = (*container.trail, member.name)
        if member.problem is not None:
            self.incomplete.append(Incomplete(member.problem.reason, member.problem.limit, trail))
        if member.data is not None:
            self._walk(Content(member.data, trail))

    def _note(self, reason: str, content: Content, limit: int | None = None) -> None:
        self.incomplete.append(Incomplete(reason, limit, content.member_path))
