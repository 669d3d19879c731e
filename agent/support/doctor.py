"""Runs check-ups side by side, tells each result as it comes, and mends what it is allowed to.

Every check-up has a thread of its own that nobody waits for at the end: one that hangs, on a dead network drive for
example, costs its own result and nothing else.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from agent.domain.errors import BucklerError
from agent.support.check import Check
from agent.support.checkup import CheckResult, Report, Status, ranked, unknown
from agent.support.surroundings import Surroundings

#: How long one check-up may take, in seconds; all of them begin together.
LIMIT_S = 20.0

Tell = Callable[[CheckResult], None]


class Doctor:
    """See the module.

    Args:
        surroundings: What is looked at.
        order: Every check-up there is, causes before what they cause.
        limit_s: For each check-up.
    """

    def __init__(self, surroundings: Surroundings, order: Sequence[Check], *, limit_s: float = LIMIT_S) -> None:
        self._surroundings = surroundings
        self._order = order
        self._limit_s = limit_s

    def examine(self, wanted: Iterable[str] = (), *, fix: bool = False, tell: Tell = lambda _: None) -> Report:
        """Look, and mend if told to.

        Args:
            wanted: Names of the check-ups; none: all of them.
            fix: Do what can be done, then look again.
            tell: Given each result as it comes; after a repair, the new one too.
        """
        names = frozenset(wanted)
        checks = [check for check in self._order if not names or check.name in names]
        results = self._look(checks, tell)
        fixed = self._mend(checks, results, tell) if fix else {}
        return Report(ranked(results.values(), [check.name for check in self._order]), fixed)

    def _look(self, checks: Sequence[Check], tell: Tell) -> dict[str, CheckResult]:
        answers: queue.SimpleQueue[CheckResult] = queue.SimpleQueue()
        for check in checks:
            look = threading.Thread(
                target=lambda check=check: answers.put(self._one(check)), name=f"check {check.name}", daemon=True
            )
            look.start()
        results: dict[str, CheckResult] = {}
        clock = self._surroundings.clock
        deadline_ns = clock.monotonic_ns() + int(self._limit_s * 1e9)
        while len(results) < len(checks):
            left_s = (deadline_ns - clock.monotonic_ns()) / 1e9
            try:
                result = answers.get(timeout=max(left_s, 0.0)) if left_s > 0 else answers.get_nowait()
            except queue.Empty:
                break
            results[result.check] = result
            tell(result)
        for check in checks:
            if check.name not in results:
                results[check.name] = replace(_too_slow(self._limit_s), check=check.name)
                tell(results[check.name])
        return results

    def _one(self, check: Check) -> CheckResult:
        try:
            result = check.look(self._surroundings)
        except BucklerError as error:
            result = unknown(f"it could not be looked at: {error.message} ({error.code})", error.next_step)
        except OSError as error:
            result = unknown(f"it could not be looked at: {error.strerror or type(error).__name__}", _AS_OWNER)
        except Exception as error:  # noqa: BLE001 -- supervision point: a defect in one check-up costs its own result
            # Its text may hold anything; its name cannot.
            result = unknown(f"the check-up itself failed ({type(error).__name__})", _TELL_SUPPORT, "CHECK_FAILED")
        return replace(result, check=check.name)

    def _mend(self, checks: Sequence[Check], results: dict[str, CheckResult], tell: Tell) -> dict[str, str]:
        """One after the other, causes first, each looked at again: what one mends, another need not."""
        fixed: dict[str, str] = {}
        for check in checks:
            found = results[check.name]
            if check.mend is None or not found.fixable:
                continue
            if fixed:
                found = self._look([check], lambda _: None)[check.name]
            if found.fixable:
                try:
                    fixed[check.name] = check.mend(self._surroundings, found)
                except BucklerError as error:
                    fixed[check.name] = f"not mended: {error.message}; {error.next_step}"
                except OSError as error:
                    fixed[check.name] = f"not mended: {error.strerror or type(error).__name__}; {_AS_OWNER}"
                self._surroundings.forget()
                found = self._look([check], lambda _: None)[check.name]
            results[check.name] = found
            tell(found)
        if fixed:
            again = [check for check in checks if check.name not in fixed and _is_open(results[check.name])]
            results.update(self._look(again, tell))
        return fixed


def _is_open(result: CheckResult) -> bool:
    return result.status is not Status.PASSING


def _too_slow(limit_s: float) -> CheckResult:
    return unknown(f"no answer within {limit_s:g} s", "look whether a disk or a network drive hangs", "CHECK_TIMED_OUT")


_AS_OWNER = "run `buckler doctor` as root, or as the user the agent runs as"
_TELL_SUPPORT = "tell support the name of the check-up and this line"
