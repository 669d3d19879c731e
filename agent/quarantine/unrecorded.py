"""Files that a crash left in staging before they had a row: each goes back to where its note says it came from.

Nothing is known of them but that: what was found in them is found again, by the walk that follows an unclean end.
"""

import errno
import os

import structlog

from agent.platform.files.secure_files import PlaceOfFile, place_of, rename_without_overwriting, sync
from agent.quarantine import way_back
from agent.quarantine.journal import CaptureJournal, shown
from agent.quarantine.staging import Staging
from agent.quarantine.steps import AfterStep, Step

log = structlog.get_logger(__name__)


def put_back_unrecorded(staging: Staging, journal: CaptureJournal, after: AfterStep) -> int:
    """Put back every file without a row; returns how many. To be called while nobody takes a file.

    One whose place cannot be reached now stays where it is, with its note, until the next time.

    Raises:
        BucklerError: The database cannot be used.
    """
    returned = 0
    for place in staging.places_at(journal.staging_folders()):
        try:
            with staging.opened(place, make=False) as folder:
                for entry_id in way_back.noted_ids(folder):
                    if journal.get(entry_id) is None and _return(folder, entry_id):
                        after(entry_id, Step.RETURNED)
                        returned += 1
                    way_back.forget(folder, entry_id)
        except OSError as error:
            if error.errno != errno.ENOENT:
                log.warning("staging_not_emptied", folder=shown(place.path), reason=error.strerror)
    return returned


def _return(staging: int, entry_id: str) -> bool:
    """Returns whether there was a file, and not only its note."""
    staged, path = PlaceOfFile(staging, entry_id), way_back.noted_path(staging, entry_id)
    if not is_there(staged):
        return False
    with place_of(path) as home:
        rename_to_free_name(staged, home, entry_id)
        sync(home.folder)
        sync(staging)
    return True


def is_there(place: PlaceOfFile) -> bool:
    """Whether anything has this name."""
    try:
        os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def rename_to_free_name(staged: PlaceOfFile, place: PlaceOfFile, entry_id: str) -> str:
    """Back to its name, or beside it if somebody has taken that meanwhile: nothing is ever overwritten.

    Returns:
        The name it has now.

    Raises:
        OSError: As usual; it is in staging still.
    """
    for name in (place.name, f"{place.name}.{entry_id}"):
        try:
            rename_without_overwriting(staged, PlaceOfFile(place.folder, name))
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENAMETOOLONG}:
                raise
        else:
            return name
    rename_without_overwriting(staged, PlaceOfFile(place.folder, entry_id))
    return entry_id
