import re
import shutil
import sys
from pathlib import Path

import pytest

from deploy.building.native import oldest_glibc, packages_for


def wheel(folder: Path, *tags: str) -> Path:
    folder.mkdir()
    file = folder / "WHEEL"
    file.write_text("".join(f"Tag: cp311-cp311-{tag}\n" for tag in tags))
    return file


def test_the_newest_demand_counts_and_of_one_wheel_the_mildest(tmp_path: Path) -> None:
    both = wheel(tmp_path / "a", "manylinux_2_17_x86_64", "manylinux_2_34_x86_64")
    old = wheel(tmp_path / "b", "manylinux2014_x86_64")
    newer = wheel(tmp_path / "c", "manylinux_2_28_x86_64")
    pure = wheel(tmp_path / "d", "any")
    assert oldest_glibc([both, old, pure]) == 17
    assert oldest_glibc([both, newer]) == 28
    assert oldest_glibc([pure]) == 5


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("ldd") is None, reason="asks ldd")
def test_the_compiled_parts_that_are_installed_here_are_satisfied_by_packages_we_know() -> None:
    import grpc

    packages = packages_for(Path(grpc.__file__).parent)
    assert "libc6 (>= 2.5)" in packages
    assert all(re.match(r"(lib|zlib1g)", package) for package in packages)
