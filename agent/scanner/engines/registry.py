"""Which engines there are. Importing this costs nothing: an engine's library is loaded when the engine is asked for."""

from collections.abc import Callable
from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus
from agent.scanner.engines.port import Engine, EngineLabel


def engine_named(name: str) -> Engine:
    """The engine of that name.

    Raises:
        BucklerError: `ENGINE_UNKNOWN`, `ENGINE_NOT_INSTALLED`.
    """
    engine = _plain(name)
    from agent.scanner.engines.routed import RoutedEngine

    return RoutedEngine(engine)


def _plain(name: str) -> Engine:
    make = _ENGINES.get(name)
    if make is None:
        raise BucklerError(
            "ENGINE_UNKNOWN",
            f"there is no signature engine named {name!r}",
            next_step=f"choose one of: {', '.join(ENGINE_NAMES)}",
        )
    return make()


def engine_label(name: str) -> EngineLabel:
    """Name and version of an engine, which take its library and nothing else.

    Raises:
        BucklerError: As `engine_named`.
    """
    engine = _plain(name)
    return EngineLabel(engine.name, engine.version)


def engine_that_remembers(name: str, data_dir: Path) -> Engine:
    """The engine of that name, which keeps what it compiled in a folder of the data folder.

    Raises:
        BucklerError: As `engine_named`.
    """
    from agent.scanner.engines.compiled_cache import CachedEngine
    from agent.scanner.engines.kept_files import KeptFiles
    from agent.scanner.engines.routed import image_format

    return CachedEngine(engine_named(name), image_format(), KeptFiles(data_dir))


def _yara() -> Engine:
    from agent.scanner.engines.yara import YaraEngine

    return YaraEngine()


def _boreal() -> Engine:
    try:
        from agent.scanner.engines.boreal import BorealEngine
    except ImportError as error:
        raise BucklerError(
            "ENGINE_NOT_INSTALLED",
            f"the signature engine 'boreal' is not installed: {error}",
            next_step="install Buckler with its extra `boreal` where there is a wheel for it, or use the engine `yara`",
            exit_status=ExitStatus.ENVIRONMENT,
        ) from error
    return BorealEngine()


_ENGINES: dict[str, Callable[[], Engine]] = {"yara": _yara, "boreal": _boreal}
ENGINE_NAMES = tuple(_ENGINES)
