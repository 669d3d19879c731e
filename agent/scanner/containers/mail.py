"""Mail: MIME messages, mbox folders, and uuencoded files inside and outside of them."""

import binascii
import re
from collections.abc import Iterator
from email.errors import NoBoundaryInMultipartDefect, StartBoundaryNotFoundDefect
from email.message import Message
from email.parser import BytesFeedParser

from agent.domain.facts import Incomplete
from agent.scanner.containers.budget import CHUNK, Meter
from agent.scanner.containers.family import Content, Family, Member

#: Where the header block must show what it is. Real ones are mostly shorter; what we need stands in front.
_HEADER_SIGHT = 16 * 1024
_FIRST_LINE = re.compile(rb"\s{0,64}[A-Za-z][A-Za-z0-9-]{0,75}[ \t]?:")
_MBOX_LINE = re.compile(rb"From [^\r\n]{1,200} \d\d:\d\d[^\r\n]{0,40}\r?\n")
_MBOX_NEXT = re.compile(rb"\n\r?\n(?=From [^\r\n]{1,200} \d\d:\d\d[^\r\n]{0,40}\r?\n)")
#: Headers that only mail has in company; ordinary text that begins like a header has at most one of them.
_MAIL_HEADERS = re.compile(
    rb"^(mime-version|content-type|content-transfer-encoding|from|to|subject|date|received|message-id|return-path|"
    rb"delivered-to|reply-to|content-disposition)[ \t]?:",
    re.IGNORECASE | re.MULTILINE,
)
_ENOUGH = 2
_HEADER_END = re.compile(rb"\r?\n[ \t]*\r?\n")
_UUENCODE = re.compile(rb"^begin(-base64)? [0-7]{3,4} ([^\r\n]{1,255})\r?\n", re.MULTILINE)
_UUENCODE_START = re.compile(rb"begin(-base64)? [0-7]{3,4} [^\r\n]{1,255}\r?\n")
_UUENCODE_END = re.compile(rb"^(?:end|====)[ \t]*\r?$", re.MULTILINE)
#: Two headers of a part in the middle of a body, and what follows them up to a line that can be a boundary.
_SECTION = re.compile(
    rb"^(?:content-[a-z-]{1,40}:[^\n]*\n(?:[ \t][^\n]*\n)*){2}.*?(?=^--|\Z)", re.MULTILINE | re.DOTALL | re.IGNORECASE
)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_PADDING = re.compile(rb"=+")
_GROUP = 4
_BROKEN_MULTIPART = (NoBoundaryInMultipartDefect, StartBoundaryNotFoundDefect)
_ENVELOPED = ("application/pkcs7-mime", "application/x-pkcs7-mime")


def decode_base64(text: bytes) -> bytes:
    """Everything that decodes: foreign characters are skipped, and padding in the middle does not end it."""
    pieces = []
    for piece in _PADDING.split(_NOT_BASE64.sub(b"", text)):
        whole = piece[:-1] if len(piece) % _GROUP == 1 else piece
        pieces.append(binascii.a2b_base64(whole + b"=" * (-len(whole) % _GROUP)))
    return b"".join(pieces)


def is_message(data: bytes) -> bool:
    """It begins with a header line and has at least two that belong to mail before the first empty line."""
    if _FIRST_LINE.match(data) is None:
        return False
    head = data[:_HEADER_SIGHT].lstrip()
    end = _HEADER_END.search(head)
    names = _MAIL_HEADERS.findall(head[: end.start()] if end else head)
    return len({name.lower() for name in names}) >= _ENOUGH


def is_mbox(data: bytes) -> bool:
    """A separator line with a time, and then a message."""
    separator = _MBOX_LINE.match(data)
    return separator is not None and is_message(data[separator.end() : separator.end() + _HEADER_SIGHT])


def is_uuencoded(data: bytes) -> bool:
    """By its first line."""
    return _UUENCODE_START.match(data) is not None


def mbox_members(content: Content, meter: Meter) -> Iterator[Member]:
    """The messages."""
    data = content.data
    start = number = 0
    while start < len(data):
        number += 1
        following = _MBOX_NEXT.search(data, start)
        end = following.end() if following else len(data)
        separator = _MBOX_LINE.match(data, start)
        yield Member(f"message-{number}", *meter.take(data[separator.end() if separator else start : end]))
        start = end


def message_members(content: Content, meter: Meter) -> Iterator[Member]:
    """The parts that hold something, decoded; messages inside are taken apart on the way."""
    parser = BytesFeedParser()
    text = content.data.lstrip()
    for at in range(0, len(text), CHUNK):
        meter.budget.seconds_left()
        parser.feed(text[at : at + CHUNK])
    for number, part in enumerate(parser.close().walk(), 1):
        name = _name(part) or f"part-{number}"
        if part.get_content_type() == "multipart/encrypted" or _is_enveloped(part):
            yield Member(name, None, Incomplete("encrypted"))
        if part.is_multipart():
            yield from _margins(part, name, meter)
        else:
            yield from _part_members(part, name, meter)


def uuencoded_members(content: Content, meter: Meter) -> Iterator[Member]:
    """The files between `begin` and `end`."""
    return _uudecoded(content.data, "", meter)


def _part_members(part: Message, name: str, meter: Meter) -> Iterator[Member]:
    # `get_payload` either loses bytes that are not ASCII or decodes base64 only as far as its first flaw.
    payload = part._payload  # type: ignore[attr-defined]  # noqa: SLF001 -- see above
    raw = payload.encode("ascii", "surrogateescape") if isinstance(payload, str) else b""
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    broken = any(isinstance(defect, _BROKEN_MULTIPART) for defect in part.defects)
    if "base64" in encoding:
        body = decode_base64(raw)
    elif "quoted-printable" in encoding:
        body = binascii.a2b_qp(raw)
    else:
        body = raw
    data, problem = meter.take(body)
    yield Member(name, data, Incomplete("damaged") if broken and problem is None else problem)
    if "base64" not in encoding:
        yield from _uudecoded(body, f"{name}/", meter)
    if not is_message(body):
        # One that is a message is opened in turn; done twice, a body of headers only would double with every depth.
        yield from _sections(raw, name, meter)


def _margins(part: Message, name: str, meter: Meter) -> Iterator[Member]:
    """What stands before the first boundary and behind the last one; mail programs do not show it."""
    for label, text in (("preamble", part.preamble), ("epilogue", part.epilogue)):
        if text and (raw := text.encode("ascii", "surrogateescape").strip()):
            yield Member(f"{name}/{label}", *meter.take(raw))
            yield from _sections(raw, f"{name}/{label}", meter)


def _sections(raw: bytes, name: str, meter: Meter) -> Iterator[Member]:
    """Parts within a text: the header or the boundary that should have announced them is bent."""
    for number, section in enumerate(_SECTION.finditer(raw), 1):
        yield Member(f"{name}/section-{number}", *meter.take(section[0]))


def _is_enveloped(part: Message) -> bool:
    if part.get_content_type() not in _ENVELOPED:
        return False
    return "signed" not in str(part.get("content-type", "")).lower()


def _name(part: Message) -> str:
    try:
        return part.get_filename("") or ""
    except (LookupError, ValueError, TypeError, AttributeError):
        # A name in an unheard-of character set is no reason to leave its part unread.
        return ""


def _uudecoded(data: bytes, prefix: str, meter: Meter) -> Iterator[Member]:
    start = 0
    while (begin := _UUENCODE.search(data, start)) is not None:
        end = _UUENCODE_END.search(data, begin.end())
        start = end.end() if end else len(data)
        body = data[begin.end() : end.start() if end else len(data)]
        decoded = decode_base64(body) if begin[1] else b"".join(_uu_line(line) for line in body.splitlines())
        taken, problem = meter.take(decoded)
        cut_off = Incomplete("damaged") if end is None else None
        yield Member(prefix + begin[2].decode("utf-8", "surrogateescape").strip(), taken, problem or cut_off)


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        pass
    # Some encoders pad a line with more than its length says: the length is right.
    wanted = (((line[0] - 32) & 63) * 4 + 5) // 3 if line else 0
    try:
        return binascii.a2b_uu(line[: wanted + 1])
    except binascii.Error:
        return b""


FAMILIES = (
    Family("mbox", is_mbox, mbox_members),
    Family("mail", is_message, message_members),
    Family("uuencode", is_uuencoded, uuencoded_members),
)
