"""Which engines there are. Importing this costs nothing: an engine's library is loaded when the engine is asked for."""

from pathlib import Path

from agent.domain.errors import BucklerError
from agent.scanner.engines.port import Engine

ENGINE_NAMES = ("yara",)


def engine_named(name: str) -> Engine:
    """The engine of that name.

    Raises:
        BucklerError: `ENGINE_UNKNOWN`.
    """
    if name == "yara":
        from agent.scanner.engines.routed import RoutedEngine
        from agent.scanner.engines.yara import YaraEngine

        return RoutedEngine(YaraEngine())
    raise BucklerError(
        "ENGINE_UNKNOWN",
        f"there is no signature engine named {name!r}",
        next_step=f"choose one of: {', '.join(ENGINE_NAMES)}",
    )


def engine_that_remembers(name: str, data_dir: Path) -> Engine:
    """The engine of that name, which keeps what it compiled in a folder of the data folder.

    Raises:
        BucklerError: As `engine_named`.
    """
    from agent.scanner.engines.routed import image_format
    from agent.scanner.pack_cache import CachedEngine

    return CachedEngine(engine_named(name), image_format(), data_dir)
