"""Who is signed in, where: one file in the configuration folder, for its owner only."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from controlplane.runtime.private_files import PRIVATE_FOLDER_MODE, write_private
from controlplane.runtime.refusal import Kind, Refusal

CONFIG_DIR_VARIABLE = "BUCKLERCTL_CONFIG_DIR"
FILE_NAME = "session.json"
_OTHERS = 0o077
_SIGN_IN = "Sign in: bucklerctl login --server HOST:PORT --ca ca.pem --email MAIL"


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in.

    Attributes:
        server: HOST:PORT.
        authorities_pem: What the server's certificate has to chain to; empty: the machine's own authorities.
        token: Bearer token.
        email: Of the person.
    """

    server: str
    authorities_pem: str
    token: str
    email: str


def default_config_dir(environment: Mapping[str, str]) -> Path:
    """Where the session is kept unless told otherwise."""
    config_home = environment.get("XDG_CONFIG_HOME", "")
    return (Path(config_home) if config_home else Path.home() / ".config") / "bucklerctl"


def save_session(config_dir: Path, session: Session) -> None:
    """Remember a sign-in, mode 0600.

    Raises:
        Refusal: CONFIG_DIR_UNWRITABLE.
    """
    try:
        # An existing folder keeps its mode: it may be one that others need, too.
        config_dir.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        write_private(config_dir / FILE_NAME, json.dumps(asdict(session), indent=1).encode())
    except OSError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "CONFIG_DIR_UNWRITABLE",
            f"the session cannot be kept in {config_dir}: {error.strerror}",
            f"Choose another folder with --config-dir or {CONFIG_DIR_VARIABLE}",
        ) from error


def forget_session(config_dir: Path) -> None:
    """Remove the sign-in of this folder; one that is not there is forgotten already."""
    (config_dir / FILE_NAME).unlink(missing_ok=True)


def load_session(config_dir: Path) -> Session:
    """The sign-in of this folder.

    Raises:
        Refusal: NOT_SIGNED_IN, SESSION_EXPOSED or SESSION_INVALID.
    """
    path = config_dir / FILE_NAME
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except FileNotFoundError as error:
        raise Refusal(Kind.UNAUTHENTICATED, "NOT_SIGNED_IN", "nobody is signed in here", _SIGN_IN) from error
    except OSError as error:
        raise _unreadable(path, error.strerror) from error
    if mode & _OTHERS:
        raise Refusal(
            Kind.ENVIRONMENT,
            "SESSION_EXPOSED",
            f"others than its owner may read the token in {path}",
            "Sign in again: the new token is stored for you alone",
        )
    try:
        fields = json.loads(content)
        session = Session(**{name: str(fields[name]) for name in Session.__dataclass_fields__})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _unreadable(path, "it is damaged") from error
    return session


def _unreadable(path: Path, why: str | None) -> Refusal:
    return Refusal(Kind.ENVIRONMENT, "SESSION_INVALID", f"the session in {path} cannot be read: {why}", _SIGN_IN)
