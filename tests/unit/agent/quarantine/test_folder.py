"""The vault's own folder."""

import os
import stat
import threading
from pathlib import Path

import pytest

from agent.domain.errors import BucklerError
from agent.quarantine.folder import VaultFolder, new_sealed_file, open_sealed_file, remove_sealed_file, sealed_ids
from agent.quarantine.inert import KEY_BYTES
from tests.fakes.randomness import SeededRandomness


@pytest.fixture
def folder(tmp_path: Path) -> VaultFolder:
    return VaultFolder(tmp_path / "data" / "vault", SeededRandomness(), patience_s=0.1)


def names_in(folder: VaultFolder) -> list[str]:
    return [path.name for path in Path(folder.path).iterdir()]


def write_half(vault: int) -> None:
    with new_sealed_file(vault, "q_1") as target:
        os.write(target, b"half")
        raise ZeroDivisionError


def test_nothing_is_made_before_the_first_use(folder: VaultFolder) -> None:
    assert not Path(folder.path).parent.exists()


def test_the_key_is_made_once_and_kept(folder: VaultFolder, tmp_path: Path) -> None:
    with folder.opened() as descriptor:
        key = folder.key(descriptor)
        again = VaultFolder(tmp_path / "data" / "vault", SeededRandomness(1)).key(descriptor)
    assert len(key) == KEY_BYTES
    assert again == key
    assert stat.S_IMODE((Path(folder.path) / "vault.key").stat().st_mode) == 0o600
    assert [path.name for path in Path(folder.path).iterdir()] == ["vault.key"]


def test_a_key_made_by_two_at_once_is_one_key(tmp_path: Path) -> None:
    keys: list[bytes] = []

    def make(seed: int) -> None:
        folder = VaultFolder(tmp_path, SeededRandomness(seed))
        with folder.opened() as descriptor:
            keys.append(folder.key(descriptor))

    threads = [threading.Thread(target=make, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_folder_others_could_look_into_is_closed(folder: VaultFolder) -> None:
    Path(folder.path).mkdir(parents=True, mode=0o755)
    with folder.opened():
        pass
    assert stat.S_IMODE(Path(folder.path).stat().st_mode) == 0o700


def test_who_wants_the_vault_to_himself_waits_for_the_others_and_gives_up_in_words(folder: VaultFolder) -> None:
    with folder.in_use(), folder.in_use():
        with pytest.raises(BucklerError) as caught, folder.to_ourselves():
            pass
        assert caught.value.code == "VAULT_BUSY"
    with folder.to_ourselves(), pytest.raises(BucklerError), folder.to_ourselves():
        pass


def test_a_sealed_file_has_its_name_only_when_it_is_whole(folder: VaultFolder) -> None:
    with folder.opened() as vault:
        with pytest.raises(ZeroDivisionError):
            write_half(vault)
        assert names_in(folder) == []
        with new_sealed_file(vault, "q_1") as target:
            os.write(target, b"whole")
            assert names_in(folder) == ["q_1.bkq.part"]
        descriptor = open_sealed_file(vault, "q_1")
        assert os.pread(descriptor, 10, 0) == b"whole"
        os.close(descriptor)
        assert sealed_ids(vault) == ["q_1"]
        remove_sealed_file(vault, "q_1")
        remove_sealed_file(vault, "q_1")
        assert sealed_ids(vault) == []


def test_what_a_crash_left_unfinished_is_written_again_and_swept(folder: VaultFolder) -> None:
    with folder.opened() as vault:
        unfinished = Path(folder.path) / "q_1.bkq.part"
        unfinished.write_bytes(b"left over")
        with new_sealed_file(vault, "q_1") as target:
            os.write(target, b"new")
        assert (Path(folder.path) / "q_1.bkq").read_bytes() == b"new"
        unfinished.write_bytes(b"left over")
        assert sealed_ids(vault) == ["q_1"]
        assert not unfinished.exists()
