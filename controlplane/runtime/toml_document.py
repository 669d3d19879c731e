"""TOML that people write, read into a checked document; what is wrong is named by its key."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from controlplane.runtime.refusal import Refusal

#: Far above any honest document.
MAX_DOCUMENT_BYTES: Final = 1_000_000

#: Says no: the key, and what is wrong with it.
Complain = Callable[[str, str], Refusal]


class StrictDocument(BaseModel):
    """A part of a document: no unknown keys, no conversions, no changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_D = TypeVar("_D", bound=StrictDocument)


def read_toml(untrusted_toml: bytes, form: type[_D], complain: Complain) -> _D:
    """Read a document.

    Args:
        untrusted_toml: As somebody wrote it.
        form: What it has to be.
        complain: Makes the refusal.

    Raises:
        Refusal: What `complain` made.
    """
    if len(untrusted_toml) > MAX_DOCUMENT_BYTES:
        raise complain("the file", f"it is larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        content = tomllib.loads(untrusted_toml.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise complain("the file", f"it is not TOML: {error}") from error
    except RecursionError as error:
        raise complain("the file", "it is nested too deeply") from error
    try:
        return form.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise complain(_key(first["loc"], content), _sentence(first)) from error


def _key(location: Sequence[int | str], content: Mapping[str, Any]) -> str:
    """Where in the document, as its author would say it: `plans[home-3].features.linux.quarantine`."""
    text = ""
    current: Any = content
    for part in location:
        if part == "[key]":
            continue
        if isinstance(part, int):
            current = current[part] if isinstance(current, list) and part < len(current) else None
            label = current.get("id", part) if isinstance(current, dict) else part
            text += f"[{label}]"
            continue
        current = current.get(part) if isinstance(current, dict) else None
        text += f".{part}" if text else part
    return text or "the file"


def _sentence(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
