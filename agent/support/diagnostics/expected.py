"""What should be so on this device beside what is so: the first page a supporter reads. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.support.redaction import Json

_Facts = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line.

    Attributes:
        what: What is compared.
        expected: What settings and the product's promise say.
        actual: What was seen; None: it could not be seen.
        as_expected: None: nobody can tell.
    """

    what: str
    expected: Json
    actual: Json
    as_expected: bool | None


def compare(
    settings: _Facts | None, service: _Facts | None, status: _Facts | None, *, agent_answers: bool
) -> tuple[Expectation, ...]:
    """Compare; what could not be found out is None.

    Args:
        settings: Of the configuration, by `section.key`.
        service: As `buckler service status` tells.
        status: As `buckler status` tells.
        agent_answers: Whether an agent listens; without one the status is that of what lies on disk.
    """
    lines = [_line("an agent answers", expected=True, actual=agent_answers)]
    if service is not None:
        lines += [
            _line(f"the service is {name}", expected=True, actual=service.get(name))
            for name in ("installed", "enabled", "running")
        ]
        lines.append(_line("times the supervisor started the service again", 0, service.get("restarts")))
    if status is None:
        return (*lines, Expectation("the status can be told", expected=True, actual=False, as_expected=False))
    lines += [_line(what, expected, status.get(name)) for name, (what, expected) in _PROMISES.items()]
    if agent_answers:
        lines += _as_configured(settings or {}, status)
    return tuple(lines)


#: By field of the status.
_PROMISES: dict[str, tuple[str, Json]] = {
    "healthy": ("the device is healthy", True),
    "real_time_protection_enabled": ("files are watched", True),
    "licensed": ("the device is licensed", True),
    "events_lost": ("events lost", 0),
    "outbox_set_aside": ("detections that could not be reported", 0),
    "worker_restarts": ("scan workers replaced for what they used", 0),
    "part_restarts": ("parts of the agent that failed", []),
    "conflicting_applications": ("other products that hold files", []),
    "outbox_error": ("failure of the last report of detections", None),
    "last_contact_error": ("failure of the last contact with the control plane", None),
}


def _as_configured(settings: _Facts, status: _Facts) -> list[Expectation]:
    proven = status.get("real_time_protection_proven_at")
    mode, wanted = status.get("real_time_protection_mode"), settings.get("realtime.mode")
    lines = [
        Expectation("protection has been proven", expected=True, actual=proven, as_expected=proven is not None),
        # What was chosen with `buckler mode` goes before the configuration, so another one need not be wrong.
        Expectation("mode, as configured", wanted, mode, as_expected=True if mode == wanted else None),
    ]
    roots, watched = settings.get("realtime.roots"), status.get("watched_roots")
    if isinstance(roots, list) and isinstance(watched, list):
        lines.append(_line("watched folders", sorted(map(str, roots)), sorted(map(str, watched))))
    workers = settings.get("scanner.workers")
    if workers:
        lines.append(_line("scan workers", workers, status.get("scan_workers")))
    return lines


def _line(what: str, expected: Json, actual: Json) -> Expectation:
    if actual is None and expected is not None:
        return Expectation(what, expected, None, None)
    return Expectation(what, expected, actual, expected == actual)


def expectation_record(line: Expectation) -> dict[str, Json]:
    """For the bundle."""
    return {"what": line.what, "expected": line.expected, "actual": line.actual, "as_expected": line.as_expected}
