"""Counts what unpacking one file has cost, and stops it at the limits.

A `Budget` belongs to one file with everything inside it, a `Meter` to one container in it.
"""

from collections.abc import Callable
from enum import Enum

from agent.domain.facts import Incomplete
from agent.scanner.containers.costs import CostLedger
from agent.scanner.limits import RATIO_FLOOR, Limits

#: Bytes asked of a decompressor at once: small enough to notice a limit soon, large enough to cost nothing.
CHUNK = 256 * 1024
_NANOSECONDS = 1_000_000_000


class Scope(Enum):
    """What has to be given up when a limit is reached."""

    MEMBER = "member"
    CONTAINER = "container"
    FILE = "file"


class LimitReachedError(Exception):
    """A limit was reached.

    Args:
        limit: Its name, a field of `Limits`; `timeout` for `timeout_s`.
        value: Its value; seconds are rounded up to whole ones.
        scope: What to give up.
    """

    def __init__(self, limit: str, value: int, scope: Scope) -> None:
        super().__init__(limit)
        self.limit = limit
        self.value = value
        self.scope = scope

    def as_incomplete(self, member_path: tuple[str, ...] = ()) -> Incomplete:
        """The fact that follows from it."""
        return Incomplete(self.limit, self.value, member_path)


class Budget:
    """The limits of one file and what has been used of them.

    Args:
        limits: The bounds.
        monotonic_ns: Tells the time; wall time runs from here.
    """

    def __init__(self, limits: Limits, monotonic_ns: Callable[[], int]) -> None:
        self.limits = limits
        self.costs = CostLedger(monotonic_ns)
        self._monotonic_ns = monotonic_ns
        self._deadline_ns = monotonic_ns() + int(limits.timeout_s * _NANOSECONDS)
        self._members = 0
        self._expanded = 0

    def seconds_left(self) -> float:
        """Wall time left.

        Raises:
            LimitReachedError: None.
        """
        left = self._deadline_ns - self._monotonic_ns()
        if left <= 0:
            raise self.timeout()
        return left / _NANOSECONDS

    def timeout(self) -> LimitReachedError:
        """What to raise when the time is up."""
        return LimitReachedError("timeout", -int(-self.limits.timeout_s // 1), Scope.FILE)

    def count_member(self) -> None:
        """One more member, of whatever kind.

        Raises:
            LimitReachedError: Too many, or too late.
        """
        self.seconds_left()
        self._members += 1
        if self._members > self.limits.max_members:
            raise LimitReachedError("max_members", self.limits.max_members, Scope.FILE)

    def count_expanded(self, size: int) -> None:
        """So many more unpacked bytes.

        Raises:
            LimitReachedError: Too many, or too late.
        """
        self.seconds_left()
        self._expanded += size
        if self._expanded > self.limits.max_expanded_size:
            raise LimitReachedError("max_expanded_size", self.limits.max_expanded_size, Scope.FILE)


class Meter:
    """Reads members of one container within the budget.

    Args:
        budget: Of the file.
        container_size: Bytes of the container, for the ratio.
    """

    def __init__(self, budget: Budget, container_size: int) -> None:
        self.budget = budget
        self._container_size = max(1, container_size)
        self._expanded = 0

    def read_all(self, read: Callable[[int], bytes]) -> tuple[bytes | None, Incomplete | None]:
        """Read a member to its end, or as far as it goes.

        Args:
            read: Gives at most that many bytes; empty at the end. May raise anything.

        Returns:
            What could be read, and what is wrong with it: `damaged` with the bytes up to there, or `max_file_size`
            with none.

        Raises:
            LimitReachedError: One that ends the container or the file.
            MemoryError: Not a fact about the member.
        """

        def pump(write: Callable[[bytes], None]) -> None:
            while chunk := read(CHUNK):
                write(chunk)

        return self.collect(pump)

    def collect(
        self, unpack: Callable[[Callable[[bytes], None]], str | None]
    ) -> tuple[bytes | None, Incomplete | None]:
        """Take a member from an unpacker that hands its pieces out.

        Args:
            unpack: Calls what it is given with each piece, and lets through what that raises; returns a reason if the
                member is not whole. May raise anything.

        Returns:
            As `read_all`, or with the reason.

        Raises:
            LimitReachedError: One that ends the container or the file.
            MemoryError: Not a fact about the member.
        """
        chunks: list[bytes] = []
        size = 0
        limit = self.budget.limits.max_file_size

        def write(chunk: bytes) -> None:
            nonlocal size
            size += len(chunk)
            self._count(len(chunk))
            if size > limit:
                raise LimitReachedError("max_file_size", limit, Scope.MEMBER)
            chunks.append(chunk)

        try:
            reason = unpack(write)
        except LimitReachedError as reached:
            if reached.scope is not Scope.MEMBER:
                raise
            return None, reached.as_incomplete()
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 -- supervision point: hostile bytes make parsers raise what they like
            reason = "damaged"
        return b"".join(chunks), Incomplete(reason) if reason else None

    def take(self, data: bytes) -> tuple[bytes | None, Incomplete | None]:
        """Account for a member that is in memory already: a piece cut out of its container.

        Returns:
            As `read_all`.

        Raises:
            LimitReachedError: One that ends the container or the file.
        """
        self._count(len(data))
        limit = self.budget.limits.max_file_size
        return (data, None) if len(data) <= limit else (None, Incomplete("max_file_size", limit))

    def _count(self, size: int) -> None:
        self.budget.count_expanded(size)
        self._expanded += size
        highest = self.budget.limits.max_ratio
        if self._expanded > RATIO_FLOOR and self._expanded > highest * self._container_size:
            raise LimitReachedError("max_ratio", highest, Scope.CONTAINER)
