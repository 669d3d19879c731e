"""Programs that unpack themselves when they run. Nothing here unpacks them: what they hide stays unread and is told.

UPX only: its mark is sure. Other packers have none that clean programs could not have, too.
"""

from agent.scanner.containers.family import Family
from agent.scanner.containers.unopened_formats import refuse
from agent.scanner.containers.windows_programs import first_section_name

_MARK, _WITHIN = b"UPX!", 4096
_SECTION = b"UPX0"
#: In an ELF file the mark lies behind at most four program headers, before any code.
_ELF, _WITHIN_ELF = b"\x7fELF", 64 + 4 * 56 + 16


def _is_upx(data: bytes) -> bool:
    if data.startswith(_ELF):
        return data.find(_MARK, 0, _WITHIN_ELF) >= 0
    return first_section_name(data) == _SECTION and data.find(_MARK, 0, _WITHIN) >= 0


FAMILY = Family("upx", _is_upx, refuse("no_unpacker"))
