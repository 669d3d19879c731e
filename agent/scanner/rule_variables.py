"""Values of the external variables that public rule sets ask about."""

from collections.abc import Mapping


def variables_for(path: str, trail: tuple[str, ...]) -> Mapping[str, str]:
    """What rules are told about a content.

    `filename` is its own name, `filepath` the folder it is in (for a member: the container, then the folders inside
    it), `extension` the lower-case suffix with its dot. `filetype` and `owner` stay empty: the worker knows neither.

    Args:
        path: Of the file on disk.
        trail: Names from the outermost container to the content; the first is the file's own.
    """
    folder, _, name = "/".join((path, *trail[1:])).rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    extension = f".{suffix.lower()}" if dot and stem else ""
    return {"filename": _text(name), "filepath": _text(folder), "extension": _text(extension)}


def _text(name: str) -> str:
    """Rules compare text; bytes that are none become escapes."""
    if name.isascii() and "\0" not in name:
        return name
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
