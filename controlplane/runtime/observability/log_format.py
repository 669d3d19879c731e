"""For whom the log is written; apart from `logs`, whose libraries a command line need not wait for."""

from enum import Enum


class LogFormat(Enum):
    """How events are written."""

    TEXT = "text"
    JSON = "json"
