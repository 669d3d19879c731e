"""What the owner told us to leave alone, why, and until when."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

#: Ids of exclusions that a policy of the organisation sets; those of the owner begin otherwise.
MANAGED_PREFIX: Final = "policy:"


class ExclusionKind(Enum):
    """What an exclusion is about."""

    #: A file or folder; a folder covers everything below it.
    PATH = "path"
    #: Exactly this content, wherever it is.
    SHA256 = "sha256"
    #: Exactly this content at exactly this path, as `<sha256>:<path>`; what restoring a file records.
    FILE = "file"
    #: A rule, as `name` or `namespace.name`.
    RULE = "rule"


def file_subject(sha256: str, path: str) -> str:
    """How a FILE exclusion names one content at one path."""
    return f"{sha256}:{path}"


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One exclusion.

    Attributes:
        id: Names it for removal, e.g. `exc_3f9c`.
        kind: What it is about.
        value: Absolute path, lower-case hex digest, `file_subject`, or rule name.
        reason: In the owner's words.
        created_at: Timezone-aware.
        expires_at: None: until removed.
    """

    id: str
    kind: ExclusionKind
    value: str
    reason: str
    created_at: datetime
    expires_at: datetime | None = None

    @property
    def managed(self) -> bool:
        """Whether the organisation sets it."""
        return self.id.startswith(MANAGED_PREFIX)

    def in_force(self, now: datetime) -> bool:
        """False from the moment of expiry on."""
        return self.expires_at is None or now < self.expires_at

    def applies_to(self, subject: str, now: datetime) -> bool:
        """Whether this exclusion covers a path, digest or rule name at `now`."""
        if not self.in_force(now):
            return False
        if self.kind is ExclusionKind.PATH:
            return subject == self.value or subject.startswith(self.value.rstrip("/") + "/")
        return subject == self.value
