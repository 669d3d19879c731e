"""What OLE wraps around an embedded file: the `Package` of Windows' object packager, and OLE 1.0 objects in RTF."""

import struct

_SIZE = struct.Struct("<I")
_LINK, _EMBEDDED = 1, 2


def package(data: bytes) -> tuple[str, bytes] | None:
    """The file in a package ([MS-OLEDS] leaves it undocumented: two bytes, label, path, four bytes, path, content).

    Args:
        data: What follows the size of the native data.

    Returns:
        Its name and content; None: this is no package. A content that breaks off is given as far as it goes.
    """
    label_end = data.find(b"\0", 2)
    path_end = data.find(b"\0", label_end + 1)
    at = path_end + 1 + 4
    if label_end < 0 or path_end < 0 or at + _SIZE.size > len(data):
        return None
    at += _SIZE.size + _SIZE.unpack_from(data, at)[0]
    if at + _SIZE.size > len(data):
        return None
    size = _SIZE.unpack_from(data, at)[0]
    at += _SIZE.size
    label = data[2:label_end].decode("latin-1")
    return label or "package", data[at : at + size]


def native_payload(stream: bytes) -> tuple[str, bytes] | None:
    """The payload of an `Ole10Native` stream, be it a packaged file or an object's own data; None: it is empty."""
    if len(stream) <= _SIZE.size:
        return None
    native = stream[_SIZE.size :]
    return package(native) or ("native", native[: _SIZE.unpack_from(stream)[0]])


def ole1_payload(data: bytes) -> tuple[str, bytes] | None:
    """The payload of an OLE 1.0 object ([MS-OLEDS] 2.2.5); None: it is none, or a link."""
    if len(data) < 3 * _SIZE.size or _SIZE.unpack_from(data, 4)[0] != _EMBEDDED:
        return None
    at = 8
    class_name = b""
    for position in range(3):
        if at + _SIZE.size > len(data):
            return None
        size = _SIZE.unpack_from(data, at)[0]
        at += _SIZE.size
        if position == 0:
            class_name = data[at : at + size].rstrip(b"\0")
        at += size
    if at + _SIZE.size > len(data):
        return None
    native = data[at + _SIZE.size :][: _SIZE.unpack_from(data, at)[0]]
    packaged = package(native) if class_name.lower() == b"package" else None
    return packaged or (class_name.decode("latin-1") or "native", native)
