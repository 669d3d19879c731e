"""Where log events go: standard error, one line each; the answers on standard output stay clean."""

import logging
import sys

import structlog


def configure_log(*, service: bool) -> None:
    """Set the log up, once per process.

    Args:
        service: The service tells what it does; a command only what went wrong.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if service else logging.ERROR),
        # Looked up at each event: whoever replaces standard error after us gets the log too.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
