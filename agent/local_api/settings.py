"""Where the agent's sockets are; apart from the server, because reading settings must not load gRPC."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalApiSettings:
    """Where the sockets are: the one that changes things, and the one that only reads."""

    control_socket: Path
    status_socket: Path
