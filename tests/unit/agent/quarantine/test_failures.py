"""Why a file was not taken, in codes and words."""

import errno
import os

import pytest

from agent.domain.quarantine import CaptureFailure
from agent.platform.files.secure_files import NotRegularFileError
from agent.quarantine.failures import not_taken


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (errno.ENOENT, CaptureFailure.VANISHED),
        (errno.ELOOP, CaptureFailure.SYMLINK),
        (errno.EROFS, CaptureFailure.READ_ONLY),
        (errno.EACCES, CaptureFailure.PERMISSION),
        (errno.EPERM, CaptureFailure.PERMISSION),
        (errno.ENOSPC, CaptureFailure.DISK_FULL),
        (errno.EDQUOT, CaptureFailure.DISK_FULL),
        (errno.EIO, CaptureFailure.INPUT_OUTPUT),
    ],
)
def test_each_error_of_the_system_has_its_code_and_a_sentence(number: int, failure: CaptureFailure) -> None:
    reason = not_taken(OSError(number, os.strerror(number)))
    assert reason.failure is failure
    assert reason.detail == f"{failure.value}: {reason.sentence}"
    assert not reason.sentence.endswith(".")


def test_an_error_nobody_thought_of_is_named() -> None:
    assert "ETXTBSY" in not_taken(OSError(errno.ETXTBSY, "Text file busy")).sentence
    assert not_taken(OSError("no number at all")).failure is CaptureFailure.INPUT_OUTPUT


def test_something_that_is_no_file_is_told_apart() -> None:
    assert not_taken(NotRegularFileError(errno.EINVAL, "not a regular file")).failure is CaptureFailure.NOT_A_FILE
