"""Honest containers, bent: cut off, bits flipped, sizes that lie, pieces taken out, doubled or put in."""

import re
from collections.abc import Iterator
from random import Random

from tests.fakes.eicar import EICAR
from tests.fakes.hostile.case import Case, Expected
from tests.fakes.hostile.samples import SAMPLES

_LIES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF0, 0xFFFF_FFFF, 1 << 40, (1 << 64) - 1)
_DIGITS = re.compile(rb"[0-9A-Fa-f]{4,16}|[0-7]{6,12}")
_OTHER_PAYLOAD = bytes(byte ^ 0x15 for byte in EICAR)
#: Larger samples are bent less often.
_LARGE = 64 * 1024


def bent_cases(random: Random, per_sample: int) -> Iterator[Case]:
    """So many for each sample, half as truncations and bit flips."""
    for name, wrap in sorted(SAMPLES.items()):
        honest = wrap(EICAR)
        count = per_sample if len(honest) < _LARGE else per_sample // 8 + 1
        payload_at = next(at for at, byte in enumerate(wrap(_OTHER_PAYLOAD)) if byte != honest[at])
        for number in range(count):
            yield from _truncated(name, honest, payload_at, number, count)
            yield Case(f"flip.{name}.{number}", _flipped(honest, random), Expected.EXPLAINED)
            yield Case(f"lie.{name}.{number}", _lying(honest, random), Expected.EXPLAINED)
            yield Case(f"piece.{name}.{number}", _pieces(honest, random), Expected.ANYTHING)


def _truncated(name: str, honest: bytes, payload_at: int, number: int, count: int) -> Iterator[Case]:
    end = (number + 1) * len(honest) // (count + 1)
    # What is cut off before its payload holds none; behind it, the rest was looked at or it was not.
    yield Case(f"cut.{name}.{number}", honest[:end], Expected.EXPLAINED if end > payload_at else Expected.ANYTHING)


def _flipped(honest: bytes, random: Random) -> bytes:
    data = bytearray(honest)
    for _ in range(random.choice((1, 1, 1, 2))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(data)


def _lying(honest: bytes, random: Random) -> bytes:
    """A number where one could stand: binary in both orders and three widths, or in digits."""
    data = bytearray(honest)
    numbers = [match.span() for match in _DIGITS.finditer(honest[:65536])]
    if numbers and random.random() < 0.5:
        start, end = random.choice(numbers)
        data[start:end] = random.choice((b"0", b"1", b"7", b"9", b"F")) * (end - start)
        return bytes(data)
    width = random.choice((2, 4, 8))
    at = random.randrange(max(1, len(data) - width))
    lie = random.choice(_LIES) & ((1 << (8 * width)) - 1)
    data[at : at + width] = lie.to_bytes(width, random.choice(("little", "big")))
    return bytes(data)


def _pieces(honest: bytes, random: Random) -> bytes:
    data = bytearray(honest)
    at, size = random.randrange(len(data)), random.randrange(1, 600)
    match random.randrange(4):
        case 0:
            del data[at : at + size]
        case 1:
            data[at:at] = data[at : at + size] * random.randrange(1, 40)
        case 2:
            data[at:at] = random.randbytes(size)
        case _:
            other = random.randrange(len(data))
            data[at : at + size] = honest[other : other + size]
    return bytes(data)
