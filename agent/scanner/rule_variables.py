"""Values of the external variables that public rule sets ask about."""

import os
from collections.abc import Mapping

_UNPRINTABLE_AS = "backslashreplace"


def variables_for(path: str, trail: tuple[str, ...]) -> Mapping[str, str]:
    """What rules are told about a content.

    `filename` is its own name, `filepath` the folder it is in (for a member: the container, then the folders inside
    it), `extension` the lower-case suffix with its dot. `filetype` and `owner` stay empty: the worker knows neither.

    Args:
        path: Of the file on disk.
        trail: Names from the outermost container to the content; the first is the file's own.
    """
    folder = os.path.dirname(path)
    if len(trail) > 1:
        inner = "/".join(trail[1:])
        folder = os.path.dirname(f"{path}/{inner}")
    name = os.path.basename(trail[-1]) or trail[-1]
    return {"filename": _text(name), "filepath": _text(folder), "extension": _text(os.path.splitext(name)[1].lower())}


def _text(name: str) -> str:
    """Rules compare text; bytes that are none become escapes."""
    return name.encode("utf-8", _UNPRINTABLE_AS).decode().replace("\0", "\\x00")
