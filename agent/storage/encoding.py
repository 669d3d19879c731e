"""How values are written into columns and read back; the reasons are in `agent.storage.migrations`."""

import json
import os
from datetime import UTC, datetime

from agent.domain.facts import Finding, Severity


def path_to_column(path: str) -> bytes:
    """The bytes the kernel knows a file by."""
    return os.fsencode(path)


def path_from_column(value: bytes) -> str:
    """Every byte string survives the round trip (PEP 383)."""
    return os.fsdecode(value)


def instant_to_column(instant: datetime) -> str:
    """UTC with microseconds always written, so that text sorts like time.

    Raises:
        ValueError: The instant names no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def instant_from_column(value: str) -> datetime:
    """Timezone-aware, UTC."""
    return datetime.fromisoformat(value)


def findings_to_column(findings: tuple[Finding, ...]) -> str:
    """A JSON list of objects."""
    return json.dumps(
        [
            {
                "rule": finding.rule,
                "namespace": finding.namespace,
                "severity": finding.severity.value,
                "member_path": list(finding.member_path),
                "threat_name": finding.threat_name,
                "credit": finding.credit,
            }
            for finding in findings
        ]
    )


def findings_from_column(value: str) -> tuple[Finding, ...]:
    """What `findings_to_column` wrote."""
    return tuple(
        Finding(
            rule=item["rule"],
            namespace=item["namespace"],
            severity=Severity(item["severity"]),
            member_path=tuple(item["member_path"]),
            threat_name=item["threat_name"],
            # Rows that were written before there were credits have none.
            credit=item.get("credit", ""),
        )
        for item in json.loads(value)
    )


def xattrs_to_column(xattrs: tuple[tuple[str, bytes], ...]) -> str:
    """A JSON list of pairs, names and values in hexadecimal: both are bytes to the kernel."""
    return json.dumps([[os.fsencode(name).hex(), value.hex()] for name, value in xattrs])


def xattrs_from_column(value: str) -> tuple[tuple[str, bytes], ...]:
    """What `xattrs_to_column` wrote."""
    return tuple((os.fsdecode(bytes.fromhex(name)), bytes.fromhex(data)) for name, data in json.loads(value))
