"""Containers that both libraries know: what libarchive does not read whole is read again with 7-Zip.

libarchive goes through a solid archive once, where 7-Zip would begin anew for every member; 7-Zip knows more methods.
It also says what is encrypted or goes on in another volume, where libarchive (3.6 with rar) may hand out what there is
as if it were whole: an archive with anything of that kind is read with 7-Zip alone. And it says when an archive is cut
off or has a bent header, where libarchive (with rar) may take that for its end.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from agent.scanner.containers import seven_zip_library, seven_zip_reader
from agent.scanner.containers.budget import LimitReachedError, Meter
from agent.scanner.containers.family import ContainerError, Content, Member

_OPEN_TO_DOUBT = frozenset({"damaged", "no_unpacker"})


def members(
    content: Content, meter: Meter, first: Callable[[Content, Meter], Iterator[Member]], format_id: int
) -> Iterator[Member]:
    """Members of a container, whole ones from the first reader.

    Args:
        content: The container.
        meter: Enforces the limits.
        first: libarchive's reader of it.
        format_id: 7-Zip's number of the format.

    Raises:
        ContainerError: As the reader that had the last word.
    """
    if seven_zip_library.load() is None:
        yield from first(content, meter)
        return
    if seven_zip_reader.has_encrypted_or_split(content, meter, format_id):
        yield from seven_zip_reader.members(content, meter, format_id)
        return
    whole: Counter[str] = Counter()
    doubted = seven_zip_reader.is_bent(content, meter, format_id)
    try:
        for member in first(content, meter):
            if member.problem is None or member.problem.reason not in _OPEN_TO_DOUBT:
                whole[member.name] += 1
                yield member
            else:
                doubted = True
    except (LimitReachedError, MemoryError):
        raise
    except ContainerError as error:
        if error.reason not in _OPEN_TO_DOUBT:
            raise
        doubted = True
    if doubted:
        empty = not whole
        for member in seven_zip_reader.members(content, meter, format_id, skip=whole):
            empty = False
            yield member
        if empty:
            raise ContainerError("damaged")
