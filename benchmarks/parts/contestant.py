"""What a contestant is: how it is started and how its answer is read."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

#: (namespace, rule, path of the file on disk).
Match = tuple[str, str, str]
_DONE = frozenset({0})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a contestant found.

    Attributes:
        matches: On files themselves; what was found only inside a container is not here, because peers open none.
        note: What a reader of the row should know.
    """

    matches: frozenset[Match]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One row of the table.

    Attributes:
        name: Shown.
        commands: Makes the commands for some trees, run one after the other and counted together.
        read: Reads the standard output of all of them.
        good: Exit statuses that mean the work was done.
        env: Added to the environment.
        sees_variables: Gives each file its own external variables, as Buckler does.
        comparable: Uses the shared rules; otherwise its matches are only counted.
        prepare: Runs once, unmeasured, on the trees, before the first run.
        serving: Starts what it needs beside it and gives that one's process id, which is measured too; ends it.
    """

    name: str
    commands: Callable[[Sequence[Path]], list[list[str]]]
    read: Callable[[bytes], Answer]
    good: frozenset[int] = _DONE
    env: Mapping[str, str] = field(default_factory=dict)
    sees_variables: bool = True
    comparable: bool = True
    prepare: bool = False
    serving: Callable[[], AbstractContextManager[int | None]] = nullcontext


@dataclass(frozen=True, slots=True)
class Missing:
    """A row without figures.

    Attributes:
        name: Shown.
        reason: Why.
    """

    name: str
    reason: str


def lines_of(output: bytes) -> list[str]:
    """Output as lines of text that keep every byte of a path."""
    return output.decode("utf-8", "surrogateescape").splitlines()
