"""Files that somebody named on a command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from controlplane.runtime.refusal import Kind, Refusal


@contextmanager
def opened(file: Path, *, code: str, called: str = "") -> Iterator[BufferedReader]:
    """A file, open for reading; one that cannot be read is the mistake of whoever named it.

    Args:
        file: Which.
        code: Of the refusal.
        called: What it is, before its path, with a space.

    Raises:
        Refusal: With that code.
    """
    try:
        with file.open("rb") as content:
            yield content
    except OSError as error:
        raise Refusal(
            Kind.INVALID,
            code,
            f"{called}{file} cannot be read: {error.strerror}",
            "Check the path and its permissions",
            facts={"file": str(file)},
        ) from error
