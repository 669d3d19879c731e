"""A pack whose compiled rules are there, and are fetched only once something has to be scanned.

A second scan of a tree that has not changed needs to know what its rules are, not the rules.
"""

from collections.abc import Callable
from typing import Protocol

from agent.scanner.bundle_reading import Credit
from agent.scanner.cache_key import asks_for_names
from agent.scanner.engines.port import Engine
from agent.scanner.pack_cache import CachedEngine
from agent.scanner.rulepack import CompiledPack, RulePack, compile_pack


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
    def names_matter(self) -> bool: ...  # noqa: D102 -- as above
    @property
    def credits(self) -> tuple[Credit, ...]: ...  # noqa: D102 -- as above
    @property
    def image(self) -> int: ...  # noqa: D102 -- as above
    def close(self) -> None: ...  # noqa: D102 -- as above


class DeferredPack:
    """See above; attributes as of `CompiledPack`.

    Args:
        rules: The pack.
        engine: Compiles it.
        names_matter: See `agent.scanner.cache_key.asks_for_names`.
        compiled: Gives it compiled; called once, or never.
    """

    def __init__(
        self, rules: RulePack, engine: Engine, compiled: Callable[[], CompiledPack], *, names_matter: bool
    ) -> None:
        self.version = rules.version
        self.credits = rules.credits
        self.engine = engine.name
        self.engine_version = engine.version
        self.engine_label = f"{engine.name} {engine.version}"
        self.names_matter = names_matter
        self._compiled: Callable[[], CompiledPack] | None = compiled
        self._pack: CompiledPack | None = None

    @property
    def image(self) -> int:
        """Descriptor of the compiled rules; open until `close`.

        Raises:
            BucklerError: They were there and are not any more, and do not compile.
        """
        if self._compiled is not None:
            self._pack = self._compiled()
            # It holds the texts of all rules, which nobody needs from now on.
            self._compiled = None
        assert self._pack is not None, "has just been compiled, or was before"
        return self._pack.image

    def close(self) -> None:
        """Let go of the image if there is one."""
        if self._pack is not None:
            self._pack.close()


def prepare_pack(pack: RulePack, engine: Engine) -> CompiledPack | DeferredPack:
    """Compile a pack, or put that off if the engine has kept it from an earlier time; the caller closes the result.

    Raises:
        BucklerError: As `compile_pack`.
    """
    if not (isinstance(engine, CachedEngine) and engine.has_kept(pack.sources)):
        return compile_pack(pack, engine)
    names_matter = asks_for_names(source.text for source in pack.sources)
    return DeferredPack(pack, engine, lambda: compile_pack(pack, engine), names_matter=names_matter)
