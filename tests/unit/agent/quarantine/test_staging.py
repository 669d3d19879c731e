"""Where a file waits between its place and its seal."""

import os
from pathlib import Path

import pytest

from agent.platform.files.secure_files import opened_folder
from agent.quarantine.staging import Staging, StagingFolder

SHARED = f".buckler-vault-{os.geteuid()}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path.resolve()


@pytest.fixture
def staging(root: Path) -> Staging:
    (root / "vault").mkdir(mode=0o700)
    return Staging(str(root / "vault"))


def places_for(staging: Staging, root: Path) -> list[StagingFolder]:
    with opened_folder(str(root)) as folder, opened_folder(str(root / "vault")) as vault:
        return list(staging.places_for(str(root), "q_1", folder=folder, vault=vault))


def test_the_vault_itself_is_the_first_choice_on_its_own_mount(root: Path, staging: Staging) -> None:
    places = places_for(staging, root)
    assert places[0] == StagingFolder(str(root / "vault"), "staging")
    assert places[-1] == StagingFolder(str(root), f"{SHARED}-q_1", once=True)
    assert StagingFolder(str(root), SHARED) in places


def test_a_journal_row_is_enough_to_find_every_kind_of_place_again(root: Path, staging: Staging) -> None:
    for place in [*places_for(staging, root), StagingFolder("/", SHARED)]:
        assert staging.place_from(f"{place.path}/q_1") == place


def test_a_place_is_made_only_when_asked_to(root: Path, staging: Staging) -> None:
    place = StagingFolder(str(root), SHARED)
    with pytest.raises(FileNotFoundError), staging.opened(place, make=False):
        pass
    with staging.opened(place, make=True):
        pass
    with staging.opened(place, make=False):
        pass
    assert (root / SHARED).is_dir()


def test_a_place_for_once_goes_when_it_is_empty_and_stays_while_it_is_not(root: Path, staging: Staging) -> None:
    place = StagingFolder(str(root), f"{SHARED}-q_1", once=True)
    with staging.opened(place, make=True):
        (root / place.name / "q_1").touch()
    assert staging.is_vault_path(f"{place.path}/q_1")
    with staging.opened(place, make=False):
        (root / place.name / "q_1").unlink()
    assert not (root / place.name).exists()
    assert not staging.is_vault_path(f"{place.path}/q_1")


def test_a_folder_that_only_has_the_right_name_is_not_ours(root: Path, staging: Staging) -> None:
    (root / SHARED).mkdir(mode=0o700)
    assert not staging.is_vault_path(f"{root}/{SHARED}/evil")


def test_a_folder_put_in_the_place_of_ours_is_not_ours(root: Path, staging: Staging) -> None:
    place = StagingFolder(str(root), SHARED)
    with staging.opened(place, make=True):
        assert staging.is_vault_path(f"{place.path}/q_1")
        (root / SHARED).rename(root / "moved")
        (root / SHARED).mkdir(mode=0o700)
        assert not staging.is_vault_path(f"{place.path}/q_1")
        (root / SHARED).rmdir()
        assert not staging.is_vault_path(f"{place.path}/q_1")


def test_the_vault_is_ours_and_its_neighbours_are_not(root: Path, staging: Staging) -> None:
    assert staging.is_vault_path(f"{root}/vault")
    assert staging.is_vault_path(f"{root}/vault/q_1.bkq")
    assert not staging.is_vault_path(f"{root}/vault2")
    assert not staging.is_vault_path(f"{root}")
