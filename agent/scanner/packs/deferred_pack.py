"""A pack whose compiled rules are there, and are fetched only once something has to be scanned.

A second scan of a tree that has not changed needs to know what its rules are, not the rules.
"""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from agent.domain.errors import BucklerError
from agent.platform.files.anonymous_file import anonymous_file
from agent.scanner.engines.compiled_cache import CachedEngine
from agent.scanner.engines.port import Engine, EngineLabel
from agent.scanner.packs.credits import Credit
from agent.scanner.packs.pack_notes import PackNote, PackNotes, listing_of

if TYPE_CHECKING:
    from agent.domain.ports import Clock
    from agent.scanner.packs.rulepack import CompiledPack


class Pack(Protocol):
    """As much of a pack as scanning needs; attributes as of `CompiledPack`."""

    @property
    def version(self) -> str: ...  # noqa: D102 -- as `CompiledPack`
    @property
    def engine(self) -> str: ...  # noqa: D102 -- as above
    @property
    def engine_version(self) -> str: ...  # noqa: D102 -- as above
    @property
    def engine_label(self) -> str: ...  # noqa: D102 -- as above
    @property
    def credits(self) -> tuple[Credit, ...]: ...  # noqa: D102 -- as above
    @property
    def image(self) -> int: ...  # noqa: D102 -- as above
    def close(self) -> None: ...  # noqa: D102 -- as above


class DeferredPack:
    """See above; attributes as of `CompiledPack`.

    Args:
        note: What is known of it.
        engine: Compiled it.
        fetch: Gives a descriptor of the compiled rules; called once, or never.
    """

    def __init__(self, note: PackNote, engine: EngineLabel, fetch: Callable[[], int]) -> None:
        self.version = note.version
        self.credits = note.credits
        self.engine = engine.name
        self.engine_version = engine.version
        self.engine_label = str(engine)
        self._fetch = fetch
        self._image: int | None = None

    @property
    def image(self) -> int:
        """Descriptor of the compiled rules; open until `close`.

        Raises:
            BucklerError: They were there and are not any more, and do not compile, or are others now.
        """
        if self._image is None:
            self._image = self._fetch()
        return self._image

    def close(self) -> None:
        """Let go of the image if there is one."""
        if self._image is not None:
            os.close(self._image)


@dataclass(frozen=True, slots=True)
class PackEngine:
    """What compiles packs, or has done so.

    Attributes:
        label: Which engine.
        notes: What it has compiled before; None: nothing is kept here.
        load: Gives it, which takes longer than to find out that it is not needed.
    """

    label: EngineLabel
    notes: PackNotes | None
    load: Callable[[], Engine]


def prepare_pack(
    sources: Sequence[Path], engine: PackEngine, clock: "Clock", untrusted_devices: Collection[int] = ()
) -> "CompiledPack | DeferredPack":
    """Read and compile rules, or put that off if they are known from an earlier time; the caller closes the result.

    Args:
        sources: As for `agent.scanner.packs.rulepack.load_rules`.
        engine: Compiles, if it has to.
        clock: See `listing_of`.
        untrusted_devices: See `listing_of`.

    Raises:
        BucklerError: As `load_rules` and `compile_pack`.
    """
    # Before anything is read: what changes meanwhile is noted under what it was, which it never is again.
    listing = None if engine.notes is None else listing_of(sources, untrusted_devices, clock)
    note = None if engine.notes is None or listing is None else engine.notes.get(listing)
    if note is None:
        return _compiled(sources, engine.load(), engine.notes, listing)
    return DeferredPack(note, engine.label, lambda: _fetched(note, sources, engine, listing))


def _compiled(sources: Sequence[Path], engine: Engine, notes: PackNotes | None, listing: str | None) -> "CompiledPack":
    # What reads rules takes longer to load than to find out that none is needed.
    from agent.scanner.packs.rulepack import compile_pack, load_rules

    rules = load_rules(sources)
    compiled = compile_pack(rules, engine)
    if notes is not None and listing is not None and isinstance(engine, CachedEngine):
        image = engine.name_of(rules.sources)
        notes.put(listing, PackNote(compiled.version, compiled.credits, image, engine.made_by))
    return compiled


def _fetched(note: PackNote, sources: Sequence[Path], engine: PackEngine, listing: str | None) -> int:
    compiler = engine.load()
    if isinstance(compiler, CachedEngine) and compiler.made_by == note.made_by:
        image = _kept_image(note.image, compiler)
        if image is not None:
            return image
    compiled = _compiled(sources, compiler, engine.notes, listing)
    if compiled.version != note.version:
        compiled.close()
        raise BucklerError("RULES_CHANGED", "the rules changed while the scan began", next_step="scan again")
    return compiled.image


def _kept_image(name: str, engine: CachedEngine) -> int | None:
    counts: list[int | None] = []

    def write(image: BinaryIO) -> None:
        counts.append(engine.fetch(name, image))

    image = anonymous_file("buckler-rules", write)
    if counts == [None]:
        os.close(image)
        return None
    return image
