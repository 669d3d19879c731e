"""Container formats that are read by code of ours, each through its own family and the limits."""

from agent.scanner.containers import ole_packages, rar_blocks, vba_macros
from agent.scanner.containers.budget import Budget, LimitReachedError, Meter
from agent.scanner.containers.family import ContainerError, Content, Family
from agent.scanner.containers.registry import FAMILIES
from agent.scanner.limits import MIB, Limits
from tests.fakes.clock import FakeClock
from tests.fakes.documents import package_of, vba_of
from tests.fakes.eicar import EICAR
from tests.fakes.hostile.samples import SAMPLES
from tests.fakes.packages import rar_of
from tests.fuzz.targets.target import Target

_LIMITS = Limits(max_file_size=MIB, max_expanded_size=4 * MIB, max_members=2_000)
#: Families with a parser of ours, and the samples to start from.
_OURS = {
    "zip": ("zip", "zip-stored", "zip-behind-program", "zip-odd"),
    "tar": ("tar-ustar", "tar-gnu"),
    "gzip": ("gzip", "tar-in-gzip"),
    "ole2": ("ole2", "ole2-macro", "ole2-package"),
    "mbox": ("mbox",),
    "mail": ("mail", "mail-quoted"),
    "uuencode": ("uuencode",),
    "rtf": ("rtf",),
    "pdf": ("pdf", "pdf-hex"),
    "html": ("html",),
    "onenote": ("onenote",),
    "tnef": ("tnef",),
    "binhex": ("binhex",),
    "windows program": ("pe-resource", "pe-overlay"),
    "appended to elf": ("elf-appended",),
    "universal mach-o": ("mach-o",),
}


def open_family(family: Family, data: bytes) -> None:
    """What the walker does: recognise, then list all members.

    Only errors that a worker survives by design may come out: a damaged container, a limit, or an error of the parser,
    which the walker takes for damage. Recognising may raise nothing at all.
    """
    if not family.recognises(data):
        return
    meter = Meter(Budget(_LIMITS, FakeClock().monotonic_ns), len(data))
    try:
        for number, member in enumerate(family.members(Content(data, ("fuzzed",)), meter)):
            assert isinstance(member.name, str)
            assert member.data is None or len(member.data) <= _LIMITS.max_file_size
            if number > _LIMITS.max_members:
                break
    except (ContainerError, LimitReachedError):
        return
    except (MemoryError, AssertionError, NameError):
        raise
    except Exception:  # noqa: BLE001 -- the walker calls it damaged; slips of ours, above, are not let off
        return


def _target(family: Family, samples: tuple[str, ...]) -> Target:
    seeds = tuple(SAMPLES[name](EICAR) for name in samples)
    return Target(family.name.replace(" ", "-"), lambda data: open_family(family, data), seeds)


def _packages(data: bytes) -> None:
    ole_packages.package(data)
    ole_packages.native_payload(data)
    ole_packages.ole1_payload(data)


def _rar_blocks(data: bytes) -> None:
    assert isinstance(rar_blocks.is_whole(data), bool)


def _macros(data: bytes) -> None:
    offsets = vba_macros.module_offsets(data)
    for start in (*vba_macros.find_modules(data), *offsets.values(), 0):
        read = vba_macros.decompressor(data, start)
        try:
            while chunk := read(0):
                assert len(chunk) <= 2 * 4096
        except ContainerError:
            continue


CONTAINER_TARGETS = (
    *(_target(family, _OURS[family.name]) for family in FAMILIES if family.name in _OURS),
    Target("packages", _packages, (package_of("a", EICAR), b"1234" + package_of("a", EICAR))),
    Target("rar-blocks", _rar_blocks, (rar_of({"a": EICAR}),)),
    Target("macros", _macros, (vba_of(b"Attribute VB_Name = 1\n" + EICAR),)),
)
