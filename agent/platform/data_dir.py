"""The folder this program keeps its things in."""

from pathlib import Path

from agent.domain.errors import BucklerError, ExitStatus

#: It is entered by everybody (the status socket is in it) and listed by its owner only.
_MODE = 0o711


def prepare_data_dir(folder: Path) -> None:
    """Make a folder that everybody may enter and only its owner may list, unless it is there.

    Raises:
        BucklerError: `DATA_DIR_UNUSABLE`.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(_MODE)
    except OSError as error:
        raise BucklerError(
            "DATA_DIR_UNUSABLE",
            f"the folder {folder} cannot be made: {error.strerror}",
            next_step="choose another one with --data-dir, or run the command as a user who may write there",
            exit_status=ExitStatus.ENVIRONMENT,
        ) from error
