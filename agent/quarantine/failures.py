"""Why a file was not taken, from what the operating system said."""

import errno

from agent.domain.quarantine import CaptureFailure
from agent.platform.files.secure_files import NotRegularFileError


class NotTakenError(Exception):
    """A file stays where it is, or is back there.

    Args:
        failure: Stable code.
        sentence: For people, without a final period.
        left_as: Its path in staging, if it could not be put back: its journal row has to go on saying that.
    """

    def __init__(self, failure: CaptureFailure, sentence: str, *, left_as: str = "") -> None:
        super().__init__(sentence)
        self.failure = failure
        self.sentence = sentence
        self.left_as = left_as

    @property
    def detail(self) -> str:
        """For the journal and the incident."""
        return f"{self.failure.value}: {self.sentence}"


_BY_ERRNO = {
    errno.ENOENT: (CaptureFailure.VANISHED, "it was gone before it could be taken"),
    errno.ESTALE: (CaptureFailure.VANISHED, "the server it lies on does not know it any more"),
    errno.ELOOP: (CaptureFailure.SYMLINK, "its folder can only be reached through a symbolic link now"),
    errno.ENOTDIR: (CaptureFailure.SYMLINK, "a folder on its way has been replaced"),
    errno.EROFS: (CaptureFailure.READ_ONLY, "its file system is mounted read-only"),
    errno.EACCES: (CaptureFailure.PERMISSION, "the agent may not move it"),
    errno.EPERM: (CaptureFailure.PERMISSION, "the agent may not move it"),
    errno.ENOSPC: (CaptureFailure.DISK_FULL, "there is no room for it in the vault"),
    errno.EDQUOT: (CaptureFailure.DISK_FULL, "a quota leaves no room for it in the vault"),
}


def not_taken(error: OSError) -> NotTakenError:
    """Name the failure behind an error of the operating system."""
    if isinstance(error, NotRegularFileError):
        return NotTakenError(CaptureFailure.NOT_A_FILE, f"its name belongs to something else now ({error.strerror})")
    known = _BY_ERRNO.get(error.errno or 0)
    if known is not None:
        return NotTakenError(*known)
    name = errno.errorcode.get(error.errno or 0, "unknown")
    return NotTakenError(CaptureFailure.INPUT_OUTPUT, f"{error.strerror} ({name})")
