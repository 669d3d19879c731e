"""What the owner of a device lets its control plane have of it."""

from enum import Enum


class Consent(Enum):
    """Whether a diagnostics bundle goes out that an admin or support asked for."""

    NEVER = "never"
    #: Without the names of files and folders below homes.
    HIDE_PATHS = "hide_paths"
    ALLOW = "allow"
