"""The document of a policy: what an organisation sets on its devices.

People write it as TOML, with the same sections and keys as `agent.toml`; it is stored and sent as canonical JSON, so
that equal documents are equal bytes. The control plane and devices both read it with exactly this file, and both refuse
what they do not know: a key that is mistyped, or newer than the reader, must not look as if it were in force.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

#: What a person may write, in bytes.
MAX_SOURCE_BYTES: Final = 64 * 1024
#: What a device accepts, in bytes: several policies may add up.
MAX_DOCUMENT_BYTES: Final = 1024 * 1024
MAX_EXCLUSIONS: Final = 1_000
MAX_ROOTS: Final = 100

EXCLUSION_KINDS: Final = ("path", "sha256", "rule")
_EXCLUSION_KEYS: Final = frozenset({"kind", "value", "reason", "expires_at"})
_MAX_PATH = 4_096
_MAX_REASON = 500
_DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
#: As `agent.domain.schedule` reads it; a test holds the two together.
_SCHEDULE = re.compile(rf"off|(?:daily|weekly (?:{_DAYS})) (?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_RULE = re.compile(r"[A-Za-z0-9_.\-/]{1,256}", re.ASCII)

SettingValue = str | int | bool | tuple[str, ...]


class PolicyDocumentError(ValueError):
    """A document that cannot be used.

    Attributes:
        key: Where it is wrong, e.g. `schedule.quick`; empty: as a whole.
        why: Continues the sentence "the key … ".
    """

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key} {why}" if key else why)
        self.key = key
        self.why = why


@dataclass(frozen=True, slots=True)
class PolicyExclusion:
    """Something that devices leave alone.

    Attributes:
        kind: One of `EXCLUSION_KINDS`.
        value: Absolute path, lower-case hexadecimal digest, or name of a rule.
        reason: Why, in the words of whoever wrote it.
        expires_at: UTC; None: until it is taken out of the policy.
    """

    kind: str
    value: str
    reason: str
    expires_at: datetime | None = None

    @property
    def subject(self) -> tuple[str, str]:
        """What it is about; a document speaks of each subject once."""
        return self.kind, self.value


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """Settings by dotted key (only those that it sets), and exclusions in the order of their subjects."""

    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    exclusions: tuple[PolicyExclusion, ...] = ()

    def canonical(self) -> bytes:
        """The document as canonical JSON: sorted, without white space, ASCII."""
        document = {
            "settings": {name: list(value) if isinstance(value, tuple) else value for name, value in self._sorted()},
            "exclusions": [_exclusion_json(exclusion) for exclusion in self.exclusions],
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")

    def _sorted(self) -> list[tuple[str, SettingValue]]:
        return sorted(self.settings.items())


def document_of(settings: Mapping[str, SettingValue], exclusions: Iterable[PolicyExclusion]) -> PolicyDocument:
    """A document of parts that were checked before."""
    return PolicyDocument(dict(settings), tuple(sorted(exclusions, key=lambda exclusion: exclusion.subject)))


def read_toml(untrusted_source: str) -> PolicyDocument:
    """Read what a person wrote.

    Raises:
        PolicyDocumentError: Not TOML, too long, or with a key or value that means nothing.
    """
    if len(untrusted_source.encode("utf-8", "surrogatepass")) > MAX_SOURCE_BYTES:
        raise PolicyDocumentError("", f"the document is longer than {MAX_SOURCE_BYTES} bytes")
    try:
        content = tomllib.loads(untrusted_source)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PolicyDocumentError("", f"the document is not valid TOML: {error}") from error
    exclusions = content.pop("exclusions", [])
    settings = {
        f"{section}.{key}": value for section, keys in content.items() for key, value in _section(section, keys)
    }
    return _checked(settings, exclusions)


def read_canonical(untrusted_document: bytes) -> PolicyDocument:
    """Read what `PolicyDocument.canonical` wrote.

    Raises:
        PolicyDocumentError: As above.
    """
    if len(untrusted_document) > MAX_DOCUMENT_BYTES:
        raise PolicyDocumentError("", f"the document is longer than {MAX_DOCUMENT_BYTES} bytes")
    try:
        content = json.loads(untrusted_document)
    except (ValueError, RecursionError) as error:
        raise PolicyDocumentError("", "the document is not valid JSON") from error
    if not isinstance(content, dict) or content.keys() != {"settings", "exclusions"}:
        raise PolicyDocumentError("", "the document has not the two parts settings and exclusions")
    return _checked(_mapping("settings", content["settings"]), content["exclusions"])


# ---------------------------------------------------------------- checking


def _checked(untrusted_settings: Mapping[str, Any], untrusted_exclusions: object) -> PolicyDocument:
    settings = {name: _setting(name, value) for name, value in untrusted_settings.items()}
    if not isinstance(untrusted_exclusions, list):
        raise PolicyDocumentError("exclusions", "is not a list of tables")
    if len(untrusted_exclusions) > MAX_EXCLUSIONS:
        raise PolicyDocumentError("exclusions", f"has more than {MAX_EXCLUSIONS} entries")
    exclusions = [_exclusion(f"exclusions.{number}", each) for number, each in enumerate(untrusted_exclusions, 1)]
    subjects = {exclusion.subject for exclusion in exclusions}
    if len(subjects) < len(exclusions):
        raise PolicyDocumentError("exclusions", "names the same thing twice")
    return document_of(settings, exclusions)


def _setting(name: str, untrusted_value: object) -> SettingValue:
    check = SETTINGS.get(name)
    if check is None:
        raise PolicyDocumentError(name, "is no setting of a policy")
    try:
        return check(untrusted_value)
    except ValueError as error:
        raise PolicyDocumentError(name, f"must be {error}") from error


def _section(section: str, untrusted_keys: object) -> list[tuple[str, Any]]:
    if section not in _SECTIONS:
        raise PolicyDocumentError(section, "is no section of a policy")
    return list(_mapping(section, untrusted_keys).items())


def _mapping(key: str, untrusted_value: object) -> dict[str, Any]:
    if not isinstance(untrusted_value, dict):
        raise PolicyDocumentError(key, "is not a table")
    return untrusted_value


def _exclusion(where: str, untrusted: object) -> PolicyExclusion:
    found = _mapping(where, untrusted)
    for key in found:
        if key not in _EXCLUSION_KEYS:
            raise PolicyDocumentError(f"{where}.{key}", "is no key of an exclusion")
    kind, value = found.get("kind"), found.get("value")
    if kind not in EXCLUSION_KINDS:
        raise PolicyDocumentError(f"{where}.kind", f"must be one of {', '.join(EXCLUSION_KINDS)}")
    try:
        checked = _SUBJECTS[str(kind)](value)
    except ValueError as error:
        raise PolicyDocumentError(f"{where}.value", f"must be {error}") from error
    reason = found.get("reason")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > _MAX_REASON or not reason.isprintable():
        raise PolicyDocumentError(f"{where}.reason", f"must say why, in at most {_MAX_REASON} characters on one line")
    return PolicyExclusion(str(kind), checked, reason.strip(), _expiry(where, found.get("expires_at")))


def _expiry(where: str, untrusted: object) -> datetime | None:
    """TOML has its own type for moments, JSON has texts."""
    if untrusted is None:
        return None
    try:
        moment = datetime.fromisoformat(untrusted) if isinstance(untrusted, str) else untrusted
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise PolicyDocumentError(f"{where}.expires_at", "must be a moment with a time zone, like 2027-01-31T12:00:00Z")


def _exclusion_json(exclusion: PolicyExclusion) -> dict[str, str]:
    known = {"kind": exclusion.kind, "value": exclusion.value, "reason": exclusion.reason}
    return known if exclusion.expires_at is None else {**known, "expires_at": exclusion.expires_at.isoformat()}


# ---------------------------------------------------------------- values


def _number(lowest: int, highest: int) -> Callable[[object], SettingValue]:
    def check(untrusted: object) -> int:
        if isinstance(untrusted, bool) or not isinstance(untrusted, int) or not lowest <= untrusted <= highest:
            raise ValueError(f"a whole number from {lowest} to {highest}")
        return untrusted

    return check


def _choice(*choices: str) -> Callable[[object], SettingValue]:
    def check(untrusted: object) -> str:
        if not isinstance(untrusted, str) or untrusted not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return untrusted

    return check


def _switch(untrusted: object) -> bool:
    if not isinstance(untrusted, bool):
        raise ValueError("true or false")  # noqa: TRY004 -- one kind of error for every wrong value
    return untrusted


def _schedule(untrusted: object) -> str:
    words = " ".join(untrusted.lower().split()) if isinstance(untrusted, str) else ""
    if not _SCHEDULE.fullmatch(words):
        raise ValueError("`off`, `daily 12:30` or `weekly sunday 03:00`")
    return words


def _roots(untrusted: object) -> tuple[str, ...]:
    if not isinstance(untrusted, list) or not 1 <= len(untrusted) <= MAX_ROOTS:
        raise ValueError(f"a list of 1 to {MAX_ROOTS} absolute paths")
    return tuple(dict.fromkeys(_path(path) for path in untrusted))


def _path(untrusted: object) -> str:
    """Absolute, and with one name only."""
    plain = isinstance(untrusted, str) and untrusted.startswith("/") and len(untrusted) <= _MAX_PATH
    if not isinstance(untrusted, str) or not plain or not untrusted.isprintable():
        raise ValueError("an absolute path of printable characters")
    names = [name for name in untrusted.split("/") if name]
    if any(name in {".", ".."} for name in names):
        raise ValueError("a path without `.` and `..`")
    return "/" + "/".join(names)


def _excluded_path(untrusted: object) -> str:
    path = _path(untrusted)
    if path == "/":
        raise ValueError("a folder below /, since excluding / would leave nothing protected")
    return path


def _digest(untrusted: object) -> str:
    if not isinstance(untrusted, str) or not _SHA256.fullmatch(untrusted):
        raise ValueError("64 hexadecimal digits in lower case")
    return untrusted


def _rule(untrusted: object) -> str:
    if not isinstance(untrusted, str) or not _RULE.fullmatch(untrusted):
        raise ValueError("the name of a rule, NAME or NAMESPACE.NAME")
    return untrusted


_SUBJECTS: Mapping[str, Callable[[object], str]] = {"path": _excluded_path, "sha256": _digest, "rule": _rule}

#: Every setting that a policy may make, with what is allowed; meanings as in docs/configuration.md.
SETTINGS: Final[Mapping[str, Callable[[object], SettingValue]]] = {
    "realtime.roots": _roots,
    "realtime.mode": _choice("notify", "block"),
    "realtime.action": _choice("quarantine", "report"),
    "schedule.quick": _schedule,
    "schedule.full": _schedule,
    "schedule.cpu_percent": _number(1, 100),
    "schedule.pause_on_battery": _switch,
    "schedule.network_filesystems": _switch,
    "schedule.jitter_minutes": _number(0, 720),
    "schedule.overdue_days": _number(0, 365),
    "resources.cpu_percent": _number(1, 100),
    # Interpreter and libraries alone need 100 MiB; more than a TiB is a typing error.
    "resources.memory_mb": _number(100, 1 << 20),
    "resources.memory_at_rest_mb": _number(100, 1 << 20),
    "quarantine.keep_days": _number(0, 36_525),
    "quarantine.warn_days": _number(3, 36_525),
    "quarantine.stop_processes": _switch,
    "support.diagnostics": _choice("never", "hide_paths", "allow"),
}
_SECTIONS: Final = frozenset(name.partition(".")[0] for name in SETTINGS)
