"""What parent and worker say to each other, over one Unix socket pair.

Every message is a frame: four bytes of length, big-endian, then that many bytes.

* worker → parent, once: JSON of `Hello`, or `{"failed": reason}`.
* parent → worker, per file: eight bytes of file size, four of the owner's number, then the path's raw bytes, with the
  descriptor to scan attached (SCM_RIGHTS). A worker may be handed more files while it works; it answers in order.
* worker → parent, per file: JSON of `Answer`; a shorter form of it (`_CLEAN`, `_FOUND_MARK`) of a file that is clean or
  itself matches rules, if nothing else is to be said: nearly all are clean, and with the others every moment counts.

Between parent and zygote (`agent.scanner.workers.zygote`), over a socket pair of their own: the parent sends `FORK`
with the worker's end of a channel attached; the zygote answers each with the worker's process id and a descriptor of
the process attached, or once with a reason before it ends.

The parent believes nothing: whoever took over a worker can send any bytes. `decode_answer` accepts exactly the shapes
below, within bounds, or raises. What a hostile worker can do is lie about the files it is given until it is replaced.
"""

import json
import os
import re
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from agent.domain.facts import Cost, Finding, Incomplete, Severity
from agent.platform.sandbox.hardening import MissingLayer, SandboxReport
from agent.scanner.limits import DEPTH_CEILING, Limits

FRAME_HEADER_BYTES = 4
#: Largest answer the parent will read; the worker trims its answers to fit.
MAX_ANSWER_BYTES = 4 * 1024 * 1024
#: A path longer than this is cut: it is a name for rules and people, never opened by the worker.
MAX_PATH_BYTES = 16 * 1024
#: Characters of each of its two lists; a single item cannot have more than a million.
_MAX_ARRAY_CHARS = MAX_ANSWER_BYTES // 4
MAX_FINDINGS = 500
MAX_INCOMPLETE = 100
#: One for matching, one for each container format there is.
MAX_COSTS = 200
#: Characters of one name in an answer; longer member names are cut.
MAX_NAME = 1024
_SIZE_BYTES = 8
_OWNER_BYTES = 4
_OWNER_AT = FRAME_HEADER_BYTES + _SIZE_BYTES
_PATH_AT = _OWNER_AT + _OWNER_BYTES
_MAX_REQUEST_BYTES = _PATH_AT + MAX_PATH_BYTES
_DESCRIPTOR_BYTES = 4
_ONE_DESCRIPTOR = socket.CMSG_SPACE(_DESCRIPTOR_BYTES)
#: What JSON never begins with, the digest, the size: a file that is clean and wholly looked at.
_CLEAN = struct.Struct(">c32sQ")
_CLEAN_MARK = b"\0"
#: The same of a file that matches a few rules; behind it rule, namespace, severity and threat name of each in UTF-8,
#: with a zero byte between any two.
_FOUND_MARK = b"\1"
_BETWEEN = "\0"
_FEW = 8
_NAMES_EACH = 4
#: Asks a zygote for a worker.
FORK = b"f"
#: A process id, or a reason.
MAX_BIRTH_BYTES = 4096
_PID = struct.Struct(">cI")
_PID_MARK = b"p"
_MAX_MEMBER_DEPTH = DEPTH_CEILING + 2
_SHA256 = re.compile(r"[0-9a-f]{64}|")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SEVERITIES = {severity.value: severity for severity in Severity}


class ProtocolError(Exception):
    """A worker sent something that is no answer; it can no longer be trusted."""


@dataclass(frozen=True, slots=True)
class WorkerOrders:
    """Everything a worker needs to know before its first file.

    Attributes:
        engine: Name of the engine whose image it inherits.
        limits: Bounds of each file.
        memory_limit: Bytes of address space it may add after loading its rules.
        cpu_limit_s: Seconds of processor time in all its life.
        parent_pid: It dies with this process.
        background: It uses only the processor and disk time that nobody else wants.
        itemise: It says for every file where the time went.
    """

    engine: str
    limits: Limits
    memory_limit: int
    cpu_limit_s: int
    parent_pid: int
    background: bool = False
    itemise: bool = False


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker is ready: what protects us from it, and how many rules it loaded."""

    sandbox: SandboxReport
    rule_count: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says about one file; field for field the facts only it can know."""

    sha256: str
    size_bytes: int
    findings: tuple[Finding, ...] = ()
    incomplete: tuple[Incomplete, ...] = ()
    error: str = ""
    #: Two answers that say the same took different times.
    costs: tuple[Cost, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Request:
    """One file to scan; the descriptor belongs to the receiver, who may not ask the kernel who owns the file."""

    descriptor: int
    size_hint: int
    owner: int
    path: str


def frame(payload: bytes) -> bytes:
    """A message with its length before it."""
    return len(payload).to_bytes(FRAME_HEADER_BYTES, "big") + payload


def encode_orders(orders: WorkerOrders) -> str:
    """For the command line of a worker or of what forks it."""
    return json.dumps(asdict(orders))


def decode_orders(payload: str) -> WorkerOrders:
    """In the worker; the parent is trusted."""
    fields = json.loads(payload)
    return WorkerOrders(**(fields | {"limits": Limits(**fields["limits"])}))


def encode_request(size_hint: int, owner: int, path: str) -> bytes:
    """To the worker, with the descriptor beside it."""
    numbers = size_hint.to_bytes(_SIZE_BYTES, "big") + owner.to_bytes(_OWNER_BYTES, "big")
    return numbers + os.fsencode(path)[:MAX_PATH_BYTES]


def receive_request(channel: socket.socket) -> Request | None:
    """In the worker: the next file; None when the parent hung up."""
    try:
        # Where one message ends a descriptor is attached to the next, and no kernel reads on across that.
        message, attached, _flags, _address = channel.recvmsg(_MAX_REQUEST_BYTES, _ONE_DESCRIPTOR)
        if not message:
            return None
        if len(message) < FRAME_HEADER_BYTES:
            message += _receive_exactly(channel, FRAME_HEADER_BYTES - len(message))
        missing = FRAME_HEADER_BYTES + int.from_bytes(message[:FRAME_HEADER_BYTES], "big") - len(message)
        if missing:
            message += _receive_exactly(channel, missing)
    except ConnectionError:
        return None
    descriptor = int.from_bytes(attached[0][2][:_DESCRIPTOR_BYTES], sys.byteorder)
    size_hint = int.from_bytes(message[FRAME_HEADER_BYTES:_OWNER_AT], "big")
    owner = int.from_bytes(message[_OWNER_AT:_PATH_AT], "big")
    return Request(descriptor, size_hint, owner, os.fsdecode(message[_PATH_AT:]))


def _receive_exactly(channel: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = channel.recv(size - len(received))
        if not chunk:
            raise ConnectionError
        received += chunk
    return received


def encode_hello(hello: Hello) -> bytes:
    """To the parent, once."""
    return json.dumps({"sandbox": asdict(hello.sandbox), "rule_count": hello.rule_count}).encode()


def encode_failure(reason: str) -> bytes:
    """To the parent instead of a hello: this worker cannot start."""
    return json.dumps({"failed": reason[:MAX_NAME]}).encode()


def encode_birth(pid: int) -> bytes:
    """From the zygote, with a descriptor of the process beside it."""
    return _PID.pack(_PID_MARK, pid)


def encode_failed_birth(reason: str) -> bytes:
    """From a zygote that has to give up."""
    return f"!{reason[:MAX_NAME]}".encode("utf-8", "backslashreplace")[:MAX_BIRTH_BYTES]


def decode_birth(message: bytes) -> int:
    """In the parent: the process id. A zygote is as trusted as we are, but it may have failed.

    Raises:
        ProtocolError: With its reason.
    """
    if len(message) != _PID.size or not message.startswith(_PID_MARK):
        raise ProtocolError(message[1:].decode("utf-8", "replace") or "the process that starts workers ended by itself")
    pid: int = _PID.unpack(message)[1]
    return pid


def decode_hello(untrusted_payload: bytes) -> Hello:
    """In the parent.

    Raises:
        ProtocolError: It is none; with the worker's reason if it gave one.
    """
    fields = _object(_parse(untrusted_payload))
    if "failed" in fields:
        raise ProtocolError(_name(fields["failed"]))
    sandbox = _object(fields.get("sandbox"))
    in_force = tuple(_name(layer) for layer in _list(sandbox.get("in_force"), MAX_INCOMPLETE))
    missing = tuple(
        MissingLayer(_name(_object(layer).get("layer")), _name(_object(layer).get("reason")))
        for layer in _list(sandbox.get("missing"), MAX_INCOMPLETE)
    )
    return Hello(SandboxReport(in_force, missing), _number(fields.get("rule_count")))


def encode_answer(answer: Answer) -> bytes:
    """To the parent; trimmed so that it always fits.

    Names come from hostile archives and may be as long as they like. Trimming never turns a file clean: the first
    finding and the first reason always stay.
    """
    if answer.sha256 and not (answer.findings or answer.incomplete or answer.error or answer.costs):
        return _CLEAN.pack(_CLEAN_MARK, bytes.fromhex(answer.sha256), answer.size_bytes)
    found = _encode_found(answer)
    if found is not None:
        return found
    findings = (
        [f.rule[:MAX_NAME], f.namespace[:MAX_NAME], f.severity.value, _cut(f.member_path), f.threat_name[:MAX_NAME]]
        for f in answer.findings[:MAX_FINDINGS]
    )
    incomplete = ([i.reason, i.limit, _cut(i.member_path)] for i in answer.incomplete[:MAX_INCOMPLETE])
    costs = [[cost.name, cost.microseconds, cost.times] for cost in answer.costs[:MAX_COSTS]]
    head = json.dumps({"sha256": answer.sha256, "size": answer.size_bytes, "error": answer.error, "costs": costs})
    return f'{head[:-1]}, "findings": {_array(findings)}, "incomplete": {_array(incomplete)}}}'.encode()


def decode_answer(untrusted_payload: bytes) -> Answer:
    """In the parent.

    Raises:
        ProtocolError: A type, a length, a number or a code is not as it must be.
    """
    if len(untrusted_payload) == _CLEAN.size and untrusted_payload.startswith(_CLEAN_MARK):
        _, digest, size = _CLEAN.unpack(untrusted_payload)
        return Answer(digest.hex(), _number(size))
    if untrusted_payload.startswith(_FOUND_MARK):
        return _decode_found(untrusted_payload)
    fields = _object(_parse(untrusted_payload))
    sha256 = _text(fields.get("sha256"))
    if _SHA256.fullmatch(sha256) is None:
        raise ProtocolError("sha256")
    error = _text(fields.get("error"))
    return Answer(
        sha256,
        _number(fields.get("size")),
        tuple(_finding(item) for item in _list(fields.get("findings"), MAX_FINDINGS)),
        tuple(_incomplete(item) for item in _list(fields.get("incomplete"), MAX_INCOMPLETE)),
        _code(error) if error else "",
        tuple(_cost(item) for item in _list(fields.get("costs"), MAX_COSTS)),
    )


def _encode_found(answer: Answer) -> bytes | None:
    """The short form for a file that matches rules; None: there is more to be said, or it cannot be said so."""
    findings = answer.findings
    if not answer.sha256 or answer.incomplete or answer.error or answer.costs or not 0 < len(findings) <= _FEW:
        return None
    names: list[str] = []
    for found in findings:
        if found.member_path:
            return None
        names += (found.rule[:MAX_NAME], found.namespace[:MAX_NAME], found.severity.value, found.threat_name[:MAX_NAME])
    try:
        text = _BETWEEN.join(names).encode()
    except UnicodeEncodeError:
        return None
    if text.count(0) != len(names) - 1:
        return None
    return _CLEAN.pack(_FOUND_MARK, bytes.fromhex(answer.sha256), answer.size_bytes) + text


def _decode_found(untrusted_payload: bytes) -> Answer:
    try:
        _, digest, size = _CLEAN.unpack_from(untrusted_payload)
        names = untrusted_payload[_CLEAN.size :].decode().split(_BETWEEN)
    except (struct.error, UnicodeDecodeError) as error:
        raise ProtocolError("findings") from error
    if len(names) > _FEW * _NAMES_EACH:
        raise ProtocolError("findings")
    each = (names[at : at + _NAMES_EACH] for at in range(0, len(names), _NAMES_EACH))
    return Answer(digest.hex(), _number(size), tuple(_finding([*one[:3], [], *one[3:]]) for one in each))


def _cut(member_path: tuple[str, ...]) -> list[str]:
    return [name[:MAX_NAME] for name in member_path]


def _array(items: Iterable[Sequence[object]]) -> str:
    """JSON of as many items as fit, at least one."""
    kept: list[str] = []
    left = _MAX_ARRAY_CHARS
    for item in items:
        text = json.dumps(item)
        left -= len(text)
        if kept and left < 0:
            break
        kept.append(text)
    return f"[{','.join(kept)}]"


def _parse(untrusted_payload: bytes) -> Any:
    try:
        return json.loads(untrusted_payload)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("no JSON") from error


def _finding(untrusted: Any) -> Finding:
    match untrusted:
        case [rule, namespace, str(severity), member, threat_name] if severity in _SEVERITIES:
            return Finding(_name(rule), _name(namespace), _SEVERITIES[severity], _member(member), _name(threat_name))
    raise ProtocolError("finding")


def _incomplete(untrusted: Any) -> Incomplete:
    match untrusted:
        case [str(reason), None, member]:
            return Incomplete(_code(reason), None, _member(member))
        case [str(reason), limit, member]:
            return Incomplete(_code(reason), _number(limit), _member(member))
    raise ProtocolError("incomplete")


def _cost(untrusted: Any) -> Cost:
    match untrusted:
        case [name, microseconds, times]:
            return Cost(_name(name), _number(microseconds), _number(times))
    raise ProtocolError("cost")


def _object(untrusted: Any) -> dict[str, Any]:
    if not isinstance(untrusted, dict):
        raise ProtocolError("object")
    return untrusted


def _list(untrusted: Any, at_most: int) -> list[Any]:
    if not isinstance(untrusted, list) or len(untrusted) > at_most:
        raise ProtocolError("list")
    return untrusted


def _member(untrusted: Any) -> tuple[str, ...]:
    return tuple(_name(part) for part in _list(untrusted, _MAX_MEMBER_DEPTH))


def _text(untrusted: Any) -> str:
    if not isinstance(untrusted, str):
        raise ProtocolError("text")
    return untrusted


def _name(untrusted: Any) -> str:
    text = _text(untrusted)
    if len(text) > MAX_NAME:
        raise ProtocolError("name")
    return text


def _code(untrusted: str) -> str:
    if _CODE.fullmatch(untrusted) is None:
        raise ProtocolError("code")
    return untrusted


def _number(untrusted: Any) -> int:
    # bool is an int to Python, and no number to us; sizes and limits fit the kernel's 64 bits.
    if not isinstance(untrusted, int) or isinstance(untrusted, bool) or not 0 <= untrusted < 1 << 63:
        raise ProtocolError("number")
    return untrusted
