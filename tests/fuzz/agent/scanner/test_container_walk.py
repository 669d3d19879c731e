"""Bent containers: whatever comes in, the walk ends, names what it could not do, and raises nothing."""

import base64
import zipfile
from random import Random

import pytest

from agent.platform.clock import SystemClock
from agent.scanner.containers import libarchive_reader
from agent.scanner.containers.budget import Budget
from agent.scanner.containers.family import Content
from agent.scanner.containers.registry import FORMATS
from agent.scanner.containers.walk import Walk
from agent.scanner.limits import MIB, Limits
from tests.fakes.archives import ar_of, cpio_of, encrypted_zip_of, libarchive_of, shrink, tar_of, zip_of
from tests.fakes.disk_images import dmg_of, hfs_plus_of, udf_of
from tests.fakes.documents import mail_of, ole_of, onenote_of, package_of, pdf_of, rtf_of, tnef_of, uu_of, vba_of
from tests.fakes.eicar import EICAR
from tests.fakes.old_archives import arj_of, binhex_of, chm_of, szdd_of
from tests.fakes.packages import cab_of, cpio_binary_of, cpio_odc_of, lha_of, rar5_of, rar_of, rpm_of
from tests.fakes.programs import NSIS_DATA, elf_of, pe_of, universal_of
from tests.fakes.zips import DESCRIPTOR, IMPLODE, LZMA, PPMD, PPMD_CONTENT, SHRINK, XZ, Entry, zip_from

MEMBERS = {"a.txt": b"alpha " * 300, "dir/b.bin": bytes(range(256)) * 8, "empty": b""}
LIMITS = Limits(max_file_size=4 * MIB, max_expanded_size=16 * MIB, max_members=5_000, max_depth=6, timeout_s=20)
#: Variants per seed in `make test`; `-m slow` runs the campaign.
FEW, MANY = 60, 3_000


def seeds() -> dict[str, bytes]:
    found = {
        "zip": zip_of(MEMBERS),
        "zip-stored": zip_of(MEMBERS, zipfile.ZIP_STORED),
        "zip-encrypted": encrypted_zip_of(MEMBERS),
        "zip-in-zip": zip_of({"z": zip_of(MEMBERS)}),
        "tar": tar_of(MEMBERS),
        "gz": shrink(tar_of(MEMBERS), "gz"),
        "bz2": shrink(tar_of(MEMBERS), "bz2"),
        "xz": shrink(tar_of(MEMBERS), "xz"),
        "cpio": cpio_of(MEMBERS),
        "ar": ar_of(MEMBERS),
        "ole2": ole_of(
            {"VBA/m": vba_of(b"Attribute VB_Name" + EICAR), "\x01Ole10Native": b"1234" + package_of("a", EICAR)}
        ),
    }
    found["mail"] = mail_of({"a.bin": EICAR, "b.txt": uu_of("c", EICAR)})
    found["mbox"] = b"From a@b Mon Jan  1 00:00:00 2024\n" + found["mail"]
    found |= {"rtf": rtf_of(EICAR), "onenote": onenote_of(EICAR), "tnef": tnef_of("a", EICAR), "pdf": pdf_of(EICAR)}
    found["html"] = b"<html><a href='data:text/plain;base64," + base64.b64encode(EICAR) + b"'>"
    found |= {"arj": arj_of(MEMBERS), "chm": chm_of(MEMBERS), "szdd": szdd_of(EICAR), "binhex": binhex_of("a", EICAR)}
    found |= {"hfs": hfs_plus_of(MEMBERS), "dmg": dmg_of(hfs_plus_of(MEMBERS)), "udf": udf_of({"a": EICAR})}
    found |= {"cpio-odc": cpio_odc_of(MEMBERS), "cpio-binary": cpio_binary_of(MEMBERS), "rpm": rpm_of(MEMBERS)}
    found |= {"cab": cab_of(MEMBERS), "lha": lha_of(MEMBERS), "rar": rar_of(MEMBERS), "rar5": rar5_of(MEMBERS)}
    found |= {"pe": pe_of({10: EICAR}, overlay=EICAR, certificates=b"c"), "nsis": pe_of(overlay=NSIS_DATA)}
    found |= {"elf": elf_of(EICAR), "elf32": elf_of(EICAR, is_64_bit=False), "mach-o": universal_of([EICAR, EICAR])}
    found["lzma"] = shrink(tar_of(MEMBERS), "lzma")
    found["zip-old"] = zip_from(Entry("a", EICAR, IMPLODE), Entry("b", EICAR, SHRINK), Entry("c", PPMD_CONTENT, PPMD))
    found["zip-odd"] = zip_from(
        Entry("a", EICAR, flags=DESCRIPTOR), Entry("b", EICAR, XZ, named=False), Entry("c", EICAR, LZMA, zip64=True)
    )
    if libarchive_reader.load() is not None:
        found |= {name: libarchive_of(MEMBERS, name) for name in ("7zip", "xar", "cpio")}
        found |= {name: libarchive_of({"a": b"alpha " * 300}, "raw", name) for name in ("zstd", "lz4", "compress")}
    return found


SEEDS = seeds()


def bent(data: bytes, random: Random) -> bytes:
    """Flip, cut, repeat, insert or lie about a size."""
    result = bytearray(data)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(result)) if result else 0
        match random.randrange(5):
            case 0:
                result[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del result[at:]
            case 2:
                result[at:at] = result[max(0, at - random.randrange(1, 512)) : at]
            case 3:
                result[at : at + 4] = random.choice([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", b"\x01\0\0\0"])
            case _:
                del result[at : at + random.randrange(1, 64)]
    return bytes(result)


def walk(data: bytes) -> int:
    sizes: list[int] = []
    walk = Walk(FORMATS, Budget(LIMITS, SystemClock().monotonic_ns), lambda content: sizes.append(len(content.data)))
    walk.run(Content(data, ("fuzzed",)))
    assert sizes[0] == len(data)
    assert sum(sizes[1:]) <= LIMITS.max_expanded_size + LIMITS.max_file_size
    assert len(sizes) <= LIMITS.max_members + 1
    return len(sizes)


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_a_bent_container_ends_with_facts(name: str) -> None:
    random = Random(f"few {name}")
    assert all(walk(bent(SEEDS[name], random)) for _ in range(FEW))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(SEEDS))
def test_a_bent_container_ends_with_facts_campaign(name: str) -> None:
    random = Random(f"many {name}")
    assert all(walk(bent(SEEDS[name], random)) for _ in range(MANY))


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_a_container_cut_off_anywhere_ends_with_facts(name: str) -> None:
    data = SEEDS[name]
    assert all(walk(data[:end]) for end in range(1, len(data), max(1, len(data) // 80)))
