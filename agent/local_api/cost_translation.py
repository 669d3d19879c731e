"""Between `agent.domain.costs.CostReport` and its message, both ways."""

import os
from collections.abc import Callable, Iterable, Iterator

from agent.domain.costs import CostKind, CostLine, CostlyFile, CostReport, CostWindow
from wire.v1 import local_pb2

#: What a window came to, asked of the running agent.
CostQuestion = Callable[[CostWindow], CostReport]
#: Names of a kind that travel; the others go into the rest.
LINES_TOLD = 100


def costs_to_wire(report: CostReport) -> local_pb2.ReadScanCostsResponse:
    """A report, its longest tails cut off."""
    answer = local_pb2.ReadScanCostsResponse(
        covers_s=report.covers_s, microseconds=report.microseconds, files=report.files
    )
    for kind in CostKind:
        lines, rest = report.lines[kind], report.rest[kind]
        for line in lines[:LINES_TOLD]:
            answer.lines.append(_line_to_wire(kind, line))
        left = lines[LINES_TOLD:]
        microseconds = rest.microseconds + sum(line.microseconds for line in left)
        answer.rest.append(
            _line_to_wire(kind, CostLine("", microseconds, rest.files + sum(item.files for item in left)))
        )
    for file in report.slowest:
        answer.slowest.append(
            local_pb2.CostlyFile(
                path=os.fsencode(file.path),
                microseconds=file.microseconds,
                size_bytes=file.size_bytes,
                cause=os.fsencode(file.cause),
            )
        )
    return answer


def costs_from_wire(window: CostWindow, answer: local_pb2.ReadScanCostsResponse) -> CostReport:
    """The other way."""
    return CostReport(
        window=window,
        covers_s=answer.covers_s,
        microseconds=answer.microseconds,
        files=answer.files,
        lines={kind: tuple(map(_line_from_wire, _of_kind(kind, answer.lines))) for kind in CostKind},
        rest={kind: next(map(_line_from_wire, _of_kind(kind, answer.rest)), CostLine("", 0, 0)) for kind in CostKind},
        slowest=tuple(
            CostlyFile(file.microseconds, os.fsdecode(file.path), file.size_bytes, os.fsdecode(file.cause))
            for file in answer.slowest
        ),
    )


def _of_kind(kind: CostKind, lines: Iterable[local_pb2.CostLine]) -> Iterator[local_pb2.CostLine]:
    return (line for line in lines if line.kind == kind.value)


def _line_to_wire(kind: CostKind, line: CostLine) -> local_pb2.CostLine:
    return local_pb2.CostLine(
        kind=kind.value, name=os.fsencode(line.name), microseconds=line.microseconds, files=line.files
    )


def _line_from_wire(line: local_pb2.CostLine) -> CostLine:
    return CostLine(os.fsdecode(line.name), line.microseconds, line.files)
