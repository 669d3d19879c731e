"""What a check-up says, and which of several to mend first. Values and decisions only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Status(Enum):
    """How the matter stands; in the order in which results are shown."""

    #: Something does not work.
    FAILING = "failing"
    #: It works, and will not for long, or less well than it should.
    WARNING = "warning"
    #: It could not be found out.
    UNKNOWN = "unknown"
    PASSING = "passing"


_RANK = {status: rank for rank, status in enumerate(Status)}


class Fixer(Enum):
    """Who can mend it."""

    USER = "whoever uses this device"
    ADMINISTRATOR = "the administrator of this device"
    NETWORK = "whoever runs this network"
    OWNER = "the owner of the account"
    OPERATOR = "the operator of the control plane"
    SUPPORT = "Buckler's support"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check-up found.

    Attributes:
        status: How it stands.
        code: Stable, upper case; `OK` when it passes (docs/doctor.md lists the others).
        evidence: What was seen, one sentence without a final period. Never a secret.
        effect: What it means for the protection of this device; empty: nothing.
        fixer: Who can mend it; None: nobody has to.
        next_step: Exactly what to do; empty: nothing.
        fixable: `buckler doctor --fix` can do it.
        check: Name of the check-up; filled in by the doctor.
    """

    status: Status
    code: str
    evidence: str
    effect: str = ""
    fixer: Fixer | None = None
    next_step: str = ""
    fixable: bool = False
    check: str = ""

    def record(self) -> dict[str, str | bool | None]:
        """For programs, in a stable order."""
        return {
            "check": self.check,
            "code": self.code,
            "status": self.status.value,
            "evidence": self.evidence,
            "effect": self.effect,
            "who": self.fixer.value if self.fixer else None,
            "next_step": self.next_step,
            "fixable": self.fixable,
        }


#: What most findings mean for protection; said in the same words everywhere.
STILL_PROTECTED = "protection goes on as it is"
NOT_PROTECTED = "files are not watched as they change"
NO_CONTACT_EFFECT = "protection goes on as it is; the control plane does not hear of this device"


def passing(evidence: str) -> CheckResult:
    """Nothing has to be done."""
    return CheckResult(Status.PASSING, "OK", evidence)


def unknown(evidence: str, next_step: str = "", code: str = "UNKNOWN") -> CheckResult:
    """It could not be found out, or does not apply here."""
    return CheckResult(Status.UNKNOWN, code, evidence, next_step=next_step)


def warning(code: str, evidence: str, *, effect: str, fixer: Fixer, next_step: str) -> CheckResult:
    """It works, for now."""
    return CheckResult(Status.WARNING, code, evidence, effect, fixer, next_step)


def failing(code: str, evidence: str, *, effect: str, fixer: Fixer, next_step: str) -> CheckResult:
    """It does not work."""
    return CheckResult(Status.FAILING, code, evidence, effect, fixer, next_step)


def ranked(results: Iterable[CheckResult], order: Sequence[str]) -> list[CheckResult]:
    """What to mend first comes first: by status, then causes before what they cause.

    Args:
        results: Of any number of check-ups, in any order.
        order: Names of the check-ups, causes first; a name that is not in it comes last.
    """
    place: Mapping[str, int] = {name: position for position, name in enumerate(order)}
    return sorted(results, key=lambda result: (_RANK[result.status], place.get(result.check, len(place))))


@dataclass(frozen=True, slots=True)
class Report:
    """What all check-ups found together, ranked.

    Attributes:
        results: What to mend first comes first.
        fixed: What `--fix` did, by name of the check-up.
    """

    results: Sequence[CheckResult]
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def first_code(self) -> str:
        """The code to act on first; `OK` when nothing fails and nothing warns."""
        first = self.results[0] if self.results else None
        return first.code if first is not None and first.status in {Status.FAILING, Status.WARNING} else "OK"

    @property
    def has_failures(self) -> bool:
        """Whether something does not work."""
        return any(result.status is Status.FAILING for result in self.results)

    def counts(self) -> dict[str, int]:
        """Results by status."""
        return {status.value: sum(result.status is status for result in self.results) for status in Status}
