r"""Making a file inert: an encrypted copy that nothing can run, open or mistake for the original.

Format `.bkq`, version 1::

    magic      8 bytes  b"BKLRQ\0\0\1"
    chunk size 4 bytes  big-endian, bytes of plain text per chunk
    salt      32 bytes  random
    chunks              AES-256-GCM, each followed by its 16-byte tag; the last one may be short or empty

The key of a file is HKDF-SHA-256(vault key, salt, "buckler-vault-v1" and the entry's id), so no nonce is ever used
twice under one key, even if a file is encrypted again after a crash. The nonce of a chunk is its index and a flag that
is 1 for the last: chunks cannot be reordered, left out, doubled, cut off at the end or moved to another entry's file
without the tag being wrong. Header and entry id are authenticated with every chunk.

Where the vault key is kept is decided in `agent.quarantine.folder`.
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
SALT_BYTES = 32
#: One chunk is held in memory at a time; large enough that the cost per chunk disappears.
CHUNK_BYTES = 1 << 20

_MAGIC = b"BKLRQ\0\0\1"
_HEADER = struct.Struct(">8sI32s")
_TAG_BYTES = 16
_NONCE = struct.Struct(">3xQ?")


class GrewError(Exception):
    """The file has more bytes than it had when it was scanned."""


class DamagedSealError(Exception):
    """Not what was written: cut, changed, of another entry, or of another vault."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Size and SHA-256, in hexadecimal, of a file's plain bytes."""

    size_bytes: int
    sha256: str


def hash_file(descriptor: int, expected_bytes: int) -> Contents:
    """Size and digest of a file, from its beginning; its offset does not matter.

    Raises:
        GrewError: There are more than `expected_bytes`; a writer who never stops must not keep us reading for ever.
        OSError: It cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in _read_chunks(descriptor, expected_bytes):
        digest.update(chunk)
        size += len(chunk)
    return Contents(size, digest.hexdigest())


def seal(source: int, target: int, *, vault_key: bytes, entry_id: str, salt: bytes, expected_bytes: int) -> Contents:
    """Encrypt a file; returns what was read, which is exactly what `unseal` gives back.

    Args:
        source: Readable; read from its beginning.
        target: Writable and empty.
        vault_key: 32 bytes.
        entry_id: The entry this file belongs to.
        salt: 32 random bytes, never used before.
        expected_bytes: How many the file had when it was scanned.

    Raises:
        GrewError: There are more now.
        OSError: Reading or writing failed.
    """
    header = _HEADER.pack(_MAGIC, CHUNK_BYTES, salt)
    cipher, bound = _cipher(vault_key, entry_id, header)
    _write_all(target, header)
    digest, size, index = hashlib.sha256(), 0, 0
    chunks = _read_chunks(source, expected_bytes)
    chunk = next(chunks, b"")
    while True:
        following = next(chunks, b"")
        digest.update(chunk)
        size += len(chunk)
        _write_all(target, cipher.encrypt(_NONCE.pack(index, not following), chunk, bound))
        if not following:
            return Contents(size, digest.hexdigest())
        chunk, index = following, index + 1


def unseal(source: int, target: int | None, *, vault_key: bytes, entry_id: str) -> Contents:
    """Decrypt and check a file.

    Args:
        source: Readable; read from its beginning.
        target: Writable and empty; None: only check. After an error it holds a part of the file: throw it away.
        vault_key: 32 bytes.
        entry_id: The entry it must belong to.

    Raises:
        DamagedSealError: It is not exactly what was sealed under this key for this entry.
        OSError: Reading or writing failed.
    """
    untrusted_header = os.pread(source, _HEADER.size, 0)
    if len(untrusted_header) != _HEADER.size:
        raise DamagedSealError("shorter than its header")
    magic, chunk_bytes, _ = _HEADER.unpack(untrusted_header)
    # The header is authenticated with the first chunk; until then its chunk size must not make us reserve memory.
    if magic != _MAGIC or chunk_bytes != CHUNK_BYTES:
        raise DamagedSealError("not a sealed file of a known version")
    cipher, bound = _cipher(vault_key, entry_id, untrusted_header)
    end, step = os.fstat(source).st_size, chunk_bytes + _TAG_BYTES
    digest, size, index, offset = hashlib.sha256(), 0, 0, _HEADER.size
    while True:
        untrusted = os.pread(source, step, offset)
        offset += len(untrusted)
        last = offset >= end or len(untrusted) < step
        try:
            chunk = cipher.decrypt(_NONCE.pack(index, last), untrusted, bound)
        except InvalidTag:
            raise DamagedSealError(f"chunk {index} is not what was written") from None
        digest.update(chunk)
        size += len(chunk)
        if target is not None:
            _write_all(target, chunk)
        if last:
            return Contents(size, digest.hexdigest())
        index += 1


def _cipher(vault_key: bytes, entry_id: str, header: bytes) -> tuple[AESGCM, bytes]:
    name = entry_id.encode("ascii")
    _, _, salt = _HEADER.unpack(header)
    key = HKDF(SHA256(), KEY_BYTES, salt, b"buckler-vault-v1\0" + name).derive(vault_key)
    return AESGCM(key), header + name


def _read_chunks(descriptor: int, expected_bytes: int) -> Iterator[bytes]:
    """Full chunks, then a shorter one if any is left. `pread` may return less than asked; a chunk never does."""
    offset = 0
    while True:
        parts: list[bytes] = []
        missing = CHUNK_BYTES
        while missing and (part := os.pread(descriptor, missing, offset)):
            parts.append(part)
            offset += len(part)
            missing -= len(part)
        if offset > expected_bytes:
            raise GrewError(f"more than {expected_bytes} bytes")
        if not parts:
            return
        yield b"".join(parts)
        if missing:
            return


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
