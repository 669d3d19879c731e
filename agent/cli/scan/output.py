"""Writes what a scan has to say to standard output, as text or JSON Lines."""

import json
import sys
from collections.abc import Mapping

from agent.cli.invocation import Output
from agent.scanner.scan_report import (
    Closing,
    ScannedFile,
    ScannedProcess,
    Tally,
    file_line,
    file_record,
    process_record,
    summary_lines,
    summary_record,
)


class ScanOutput:
    """One scan's standard output.

    Args:
        form: Text or JSON Lines.
    """

    def __init__(self, form: Output) -> None:
        self._form = form

    @property
    def is_json(self) -> bool:
        """Whether a program reads it."""
        return self._form is Output.JSON

    def tell(self, scanned: ScannedFile | ScannedProcess) -> None:
        """One file or process."""
        if not self.is_json:
            self.line(file_line(scanned))
        elif isinstance(scanned, ScannedProcess):
            self.record(process_record(scanned))
        else:
            self.record(file_record(scanned))

    def close(self, tally: Tally, closing: Closing) -> None:
        """The summary."""
        if self.is_json:
            self.record(summary_record(tally, closing))
            return
        for line in summary_lines(tally, closing):
            self.line(line)

    def record(self, record: Mapping[str, object]) -> None:
        """One JSON line."""
        self.line(json.dumps(record))

    def line(self, line: str) -> None:
        """A line, whatever encoding standard output has."""
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        # Whoever reads along through a pipe learns of a threat when it is found, not when a buffer is full.
        sys.stdout.flush()
