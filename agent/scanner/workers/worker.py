"""The weak child, forked by the zygote or `python -I -m agent.scanner.workers.worker SOCKET RULES ORDERS`.

It loads the rules, gives up everything `agent.platform.sandbox` can take from it, says hello, and from then on reads
hostile bytes: one descriptor in, one bounded answer out, until its parent hangs up.
"""

import codecs
import gzip
import hashlib
import io
import logging
import mmap
import os
import socket
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable

from agent.domain.facts import Finding, Incomplete, Severity
from agent.platform.accounts import account_name, local_accounts
from agent.platform.allocator import give_back_freed_memory, keep_freed_memory
from agent.platform.processes.priority import step_back
from agent.platform.sandbox.hardening import harden
from agent.platform.sandbox.plan import ParentGoneError, SandboxPlan
from agent.scanner.containers import libarchive_reader, seven_zip_library
from agent.scanner.containers.budget import Budget
from agent.scanner.containers.costs import MATCHING, READING
from agent.scanner.containers.family import Content
from agent.scanner.containers.registry import FORMATS, NO_FORMATS
from agent.scanner.containers.walk import Walk
from agent.scanner.engines.port import Matcher, MatchTimeoutError
from agent.scanner.engines.registry import engine_named
from agent.scanner.limits import Limits
from agent.scanner.packs.rule_variables import variables_for
from agent.scanner.workers import protocol
from agent.scanner.workers.descriptor_reader import read_content
from agent.scanner.workers.protocol import Answer, WorkerOrders

_SEVERITIES = {severity.value: severity for severity in Severity}
#: Decoders that are asked for by name (by tarfile, email, olefile and us), when it is too late to load them.
_CODECS = ("ascii", "cp437", "latin-1", "utf-8", "utf-16", "utf-16-le", "utf-32-le", "mac-roman")

#: From here on a file is slow, and where its time went is told.
_SLOW_MICROSECONDS = 250_000

_REHEARSAL_MAIL = b"""From: a
Subject: =?iso-8859-1?q?=e4?=
Content-Type: application/octet-stream; name*=utf-8''x
Content-Transfer-Encoding: base64

QQ==
"""


class FileScan:
    """One scan of one content and all that is in it.

    Args:
        matcher: The rules.
        limits: Bounds.
        monotonic_ns: Tells the time.
    """

    def __init__(self, matcher: Matcher, limits: Limits, monotonic_ns: Callable[[], int]) -> None:
        self._matcher = matcher
        self._budget = Budget(limits, monotonic_ns)
        self._findings: dict[Finding, None] = {}
        self._walk = Walk(FORMATS if limits.open_containers else NO_FORMATS, self._budget, self._visit)

    def run(
        self, data: bytes, path: str, owner: str = "", read_since_ns: int | None = None, itemised_from_us: int = 0
    ) -> Answer:
        """Scan; whatever the content does to us is told in the answer.

        Args:
            data: The content.
            path: Where it was.
            owner: Account that owns the file, for rules.
            read_since_ns: When reading it began, for the costs; None: it was there.
            itemised_from_us: The answer says where the time went if it was at least so long, in microseconds.
        """
        self._path = path
        self._owner = owner
        costs = self._budget.costs
        since_ns = costs.monotonic_ns() if read_since_ns is None else read_since_ns
        sha256 = hashlib.sha256(data).hexdigest()
        costs.spend(READING, since_ns)
        failure: tuple[Incomplete, ...] = ()
        try:
            self._walk.run(Content(data, (path.rpartition("/")[2] or "?",)))
        except MemoryError:
            failure = (Incomplete("worker_out_of_memory"),)
        except Exception:  # noqa: BLE001 -- supervision point: an engine's failure costs this file, not the worker
            failure = (Incomplete("engine_error"),)
        findings = sorted(self._findings, key=lambda finding: not finding.severity.is_malicious)
        incomplete = (*failure, *self._walk.incomplete)
        spent = costs.costs() if costs.spent_us() >= itemised_from_us else ()
        return Answer(sha256, len(data), tuple(findings), incomplete, costs=spent)

    def _visit(self, content: Content) -> None:
        costs = self._budget.costs
        since_ns = costs.monotonic_ns()
        try:
            result = self._matcher.match(
                content.data,
                variables_for(self._path, content.trail, content.data, self._owner),
                self._budget.seconds_left(),
            )
        except MatchTimeoutError:
            raise self._budget.timeout() from None
        finally:
            costs.spend(MATCHING, since_ns)
        for match in result.matches:
            severity = _SEVERITIES.get(match.severity.lower(), Severity.HIGH)
            finding = Finding(match.rule, match.namespace, severity, content.member_path, match.threat_name)
            self._findings[finding] = None
        if result.max_string_matches is not None:
            self._walk.incomplete.append(
                Incomplete("max_string_matches", result.max_string_matches, content.member_path)
            )


def scan_descriptor(
    descriptor: int,
    size_hint: int,
    path: str,
    matcher: Matcher,
    limits: Limits,
    owner: str = "",
    itemised_from_us: int = 0,
) -> Answer:
    """Read a descriptor within the limits and scan what was read.

    Args:
        descriptor: Open for reading.
        size_hint: What the file's size was; a file that grew is read on.
        path: Where it was, for rules and names.
        matcher: The rules.
        limits: Bounds.
        owner: Account that owns the file, for rules.
        itemised_from_us: See `FileScan.run`.
    """
    begun_ns = time.monotonic_ns()
    try:
        data = read_content(descriptor, size_hint, limits.max_file_size)
    except MemoryError:
        return Answer("", size_hint, incomplete=(Incomplete("worker_out_of_memory"),))
    except OSError:
        return Answer("", size_hint, error="unreadable")
    if data is None:
        return Answer("", size_hint, incomplete=(Incomplete("max_file_size", limits.max_file_size),))
    return FileScan(matcher, limits, time.monotonic_ns).run(data, path, owner, begun_ns, itemised_from_us)


class Worker:
    """Answers one parent, file by file.

    Args:
        channel: To the parent.
        matcher: The rules.
        limits: Bounds of each file.
        itemise: Say for every file where its time went, not only for slow ones.
    """

    def __init__(self, channel: socket.socket, matcher: Matcher, limits: Limits, *, itemise: bool = False) -> None:
        self._channel = channel
        self._matcher = matcher
        self._limits = limits
        self._itemised_from_us = 0 if itemise else _SLOW_MICROSECONDS

    def serve(self) -> None:
        """Until the parent hangs up."""
        while (request := protocol.receive_request(self._channel)) is not None:
            try:
                answer = scan_descriptor(
                    request.descriptor,
                    request.size_hint,
                    request.path,
                    self._matcher,
                    self._limits,
                    account_name(request.owner),
                    self._itemised_from_us,
                )
            finally:
                os.close(request.descriptor)
            self._channel.sendall(protocol.frame(protocol.encode_answer(answer)))


def prepare_for_confinement(matcher: Matcher) -> None:
    """Have everything loaded that scanning will ask for: afterwards no file can be opened any more.

    The rehearsal walks a small archive of each standard kind, because libraries load parts of themselves late.
    """
    logging.disable()
    libarchive_reader.load()
    seven_zip_library.load()
    local_accounts()
    for name in _CODECS:
        codecs.lookup(name)
    text = io.BytesIO()
    with zipfile.ZipFile(text, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("r\xe9hearsal", b"x" * 1000)
    tape = io.BytesIO()
    with tarfile.open(fileobj=tape, mode="w:xz") as archive_file:
        member = tarfile.TarInfo("rehearsal.zip")
        member.size = text.tell()
        archive_file.addfile(member, io.BytesIO(text.getvalue()))
    for data in (_REHEARSAL_MAIL, gzip.compress(tape.getvalue())):
        FileScan(matcher, Limits(), time.monotonic_ns).run(data, "/rehearsal.gz")


def load_matcher(rules: int, orders: WorkerOrders) -> Matcher:
    """Load the rules and everything else a worker will need.

    Args:
        rules: Descriptor of the image; closed.
        orders: Name the engine.
    """
    keep_freed_memory()
    if orders.background:
        step_back()
    # Stays mapped: what is not needed yet is loaded when it is, and nothing of it can be written.
    image = mmap.mmap(rules, 0, access=mmap.ACCESS_READ)
    os.close(rules)
    matcher = engine_named(orders.engine).load(image)
    prepare_for_confinement(matcher)
    if hasattr(image, "madvise"):
        # What has been loaded is a copy: the pages it came from need not be held as well.
        image.madvise(mmap.MADV_DONTNEED)
    give_back_freed_memory()
    return matcher


def work(channel: socket.socket, matcher: Matcher, orders: WorkerOrders) -> int:
    """Become weak, report, serve; the exit status is for people who start a worker by hand."""
    try:
        sandbox = harden(SandboxPlan(orders.memory_limit, orders.cpu_limit_s, orders.parent_pid))
    except ParentGoneError:
        return 1
    except Exception as error:  # noqa: BLE001 -- supervision point: the parent learns why this worker cannot start
        channel.sendall(protocol.frame(protocol.encode_failure(f"{type(error).__name__}: {error}")))
        return 1
    channel.sendall(protocol.frame(protocol.encode_hello(protocol.Hello(sandbox, matcher.rule_count))))
    Worker(channel, matcher, orders.limits, itemise=orders.itemise).serve()
    return 0


def main(arguments: list[str]) -> int:
    """Load, tell if that fails, work."""
    channel = socket.socket(fileno=int(arguments[0]))
    orders = protocol.decode_orders(arguments[2])
    try:
        matcher = load_matcher(int(arguments[1]), orders)
    except Exception as error:  # noqa: BLE001 -- supervision point, as above
        channel.sendall(protocol.frame(protocol.encode_failure(f"{type(error).__name__}: {error}")))
        return 1
    return work(channel, matcher, orders)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
