"""`python -m benchmarks.scaling`: what one and ten million devices need, computed from what was measured for fewer.

Everything that goes in is in `INPUTS`: a figure of docs/benchmarks.md, or an assumption that says so. To see another
fleet: `python -m benchmarks.scaling --set detections_per_day=5`. docs/scaling.md shows the tables as printed here, and
a test compares them: after new measurements change INPUTS and run with `--write`.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
FLEETS: Final = (100_000, 1_000_000, 10_000_000)
BEGIN, END = "<!-- computed: python -m benchmarks.scaling --write -->", "<!-- end -->"
_DAY_S: Final = 86_400
_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Input:
    """A number that goes in.

    Attributes:
        value: In `unit`.
        source: Where it was measured, or why it is assumed.
    """

    value: float
    unit: str
    source: str


INPUTS: Final[Mapping[str, Input]] = {
    "streams": Input(1, "of the devices", "assumed: all have one open; 0 where none gets through"),
    "check_in_every_s": Input(
        600, "s", "`devices.check_ins.desk.SELDOM_S`: a device with a stream that has nothing to say"
    ),
    "check_in_ms": Input(0.77, "ms of CPU", "measured: benchmarks.md, a fleet of streams, gRPC and TLS counted"),
    "rpc_ms": Input(0.48, "ms of CPU", "measured: the same place, a bare echo with the same TLS"),
    "from_rows_ms": Input(7.5, "ms of CPU", "measured: the same place, a check-in that is not answered from memory"),
    "from_rows_every_s": Input(2_700, "s", "the same place: every half an hour to an hour"),
    "contact_write_ms": Input(0.06, "ms of CPU", "measured: the same place, in a batch of 500"),
    "contacts_in_a_commit": Input(
        500, "rows", "`devices.check_ins.freshness.AT_ONCE`; reached from 100 contacts a second on"
    ),
    "stream_kib": Input(97, "KiB", "measured: the same place"),
    "heartbeat_every_s": Input(30, "s", "`devices.connections.StreamSettings`"),
    "heartbeat_ms": Input(
        0.8, "ms of CPU", "measured: the same place, 1.6 ms a minute for two and the pings of HTTP/2"
    ),
    "contact_every_s": Input(60, "s", "`devices.connections.StreamSettings`: a heartbeat that is written as a contact"),
    "stream_every_s": Input(660, "s", "`devices.connections.StreamSettings`: ten to twelve minutes, then another one"),
    "stream_open_ms": Input(6.4, "ms of CPU", "measured: the same place, to open one"),
    "connection_every_s": Input(3_600, "s", "`runtime.network.server`: connections end after an hour"),
    "handshake_ms": Input(2, "ms of CPU", "assumed: mutual TLS with P-256, certificates of both sides checked"),
    "refresh_every_s": Input(_DAY_S, "s", "assumed: an entitlement is asked for once a day"),
    "refresh_ms": Input(1.3, "ms of CPU", "measured: benchmarks.md, activations, PostgreSQL"),
    "detections_per_day": Input(0.33, "a device", "assumed: as in benchmarks.fleet_status, a million in 30 days"),
    "detection_ms": Input(8, "ms of CPU", "assumed: as much as activating a device, which writes as much"),
    "commands_per_day": Input(0.2, "a device", "assumed: one scan a week, and something else now and then"),
    "command_ms": Input(12, "ms of CPU", "assumed: three calls that write: asked, delivered, reported"),
    "rows_per_command": Input(4, "rows written", "assumed: its own, twice changed, and the audit's"),
    "device_bytes": Input(2_106, "bytes", "measured: benchmarks.row_sizes"),
    "detection_bytes": Input(901, "bytes", "measured: benchmarks.row_sizes"),
    "command_bytes": Input(1_500, "bytes", "assumed: a command and its line in the audit, with indexes"),
    "detections_kept_days": Input(365, "days", "assumed"),
    "wal_bytes": Input(300, "bytes a row", "assumed: a row that is written, with its indexes' entries"),
    "check_in_bytes": Input(248, "bytes", "measured: benchmarks.row_sizes, 219 and 29"),
    "frame_bytes": Input(300, "bytes", "assumed: HTTP/2, TLS, TCP and IP around one call, both ways"),
    "heartbeat_bytes": Input(150, "bytes", "assumed: a frame of a few bytes and what is around it"),
    "busy": Input(0.6, "of a core", "assumed: the rest is for peaks, reconnects and jobs"),
    "statement_row_us": Input(80, "us of CPU", "assumed: PostgreSQL, for one row of a large batch"),
}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a fleet needs, all sizes in bytes."""

    devices: int
    check_ins_per_s: float
    server_cores: float
    check_in_cores: float
    stream_cores: float
    other_cores: float
    stream_memory: float
    rows_per_s: float
    commits_per_s: float
    database_cores: float
    wal_per_day: float
    disk_devices: float
    disk_per_year: float
    network_per_s: float

    @property
    def devices_per_core(self) -> float:
        """How many devices one core of a server carries."""
        return self.devices / self.server_cores


def needs_of(devices: int, inputs: Mapping[str, Input] = INPUTS) -> Needs:
    """Compute; nothing in here is a measurement."""
    of = {name: item.value for name, item in inputs.items()}
    check_ins = devices / of["check_in_every_s"]
    streams, connections = devices * of["streams"], devices / of["connection_every_s"]
    heartbeats, from_rows = streams / of["heartbeat_every_s"], devices / of["from_rows_every_s"]
    contacts = streams / of["contact_every_s"] + (devices - streams) / of["check_in_every_s"]
    detections, commands = (devices * of[name] / _DAY_S for name in ("detections_per_day", "commands_per_day"))
    refreshes = devices / of["refresh_every_s"]

    def cores(milliseconds_per_s: float) -> float:
        return milliseconds_per_s / 1000 / of["busy"]

    for_check_ins = cores(
        check_ins * of["check_in_ms"] + contacts * of["contact_write_ms"] + from_rows * of["from_rows_ms"]
    )
    for_streams = cores(
        heartbeats * of["heartbeat_ms"]
        + streams / of["stream_every_s"] * of["stream_open_ms"]
        + connections * of["handshake_ms"]
    )
    for_others = cores(
        detections * of["detection_ms"] + commands * of["command_ms"] + refreshes * (of["refresh_ms"] + of["rpc_ms"])
    )
    other_rows = detections + commands * of["rows_per_command"]
    rows = contacts + other_rows
    return Needs(
        devices=devices,
        check_ins_per_s=check_ins,
        server_cores=for_check_ins + for_streams + for_others,
        check_in_cores=for_check_ins,
        stream_cores=for_streams,
        other_cores=for_others,
        stream_memory=streams * of["stream_kib"] * 1024,
        rows_per_s=rows,
        commits_per_s=contacts / of["contacts_in_a_commit"] + other_rows,
        database_cores=cores(rows * of["statement_row_us"] / 1000),
        wal_per_day=rows * of["wal_bytes"] * _DAY_S,
        disk_devices=devices * of["device_bytes"],
        disk_per_year=devices
        * (of["detections_per_day"] * of["detection_bytes"] * of["detections_kept_days"]
           + of["commands_per_day"] * of["command_bytes"] * 365),
        network_per_s=check_ins * (of["check_in_bytes"] + of["frame_bytes"]) + heartbeats * of["heartbeat_bytes"],
    )  # fmt: skip


def needs_table(fleets: Sequence[Needs]) -> str:
    """What is needed, as Markdown."""
    rows: list[tuple[str, list[str]]] = [
        ("check-ins a second", [f"{n.check_ins_per_s:,.0f}" for n in fleets]),
        ("devices on one core of a server", [f"{n.devices_per_core:,.0f}" for n in fleets]),
        ("cores of servers", [f"{n.server_cores:,.0f}" for n in fleets]),
        ("of them for check-ins and contacts", [f"{n.check_in_cores:,.1f}" for n in fleets]),
        ("of them for streams and TLS", [f"{n.stream_cores:,.1f}" for n in fleets]),
        ("of them for detections, commands, entitlements", [f"{n.other_cores:,.1f}" for n in fleets]),
        ("memory of streams, GiB", [f"{n.stream_memory / _GIB:,.0f}" for n in fleets]),
        ("rows written a second", [f"{n.rows_per_s:,.0f}" for n in fleets]),
        ("rows written a day, millions", [f"{n.rows_per_s * _DAY_S / 1e6:,.0f}" for n in fleets]),
        ("commits (flushes of the log) a second", [f"{n.commits_per_s:,.0f}" for n in fleets]),
        ("cores of the database for them", [f"{n.database_cores:,.1f}" for n in fleets]),
        ("write-ahead log a day, GiB", [f"{n.wal_per_day / _GIB:,.0f}" for n in fleets]),
        ("disk for devices, GiB", [f"{n.disk_devices / _GIB:,.1f}" for n in fleets]),
        ("disk for detections and commands of a year, GiB", [f"{n.disk_per_year / _GIB:,.0f}" for n in fleets]),
        ("network, both ways, Mbit/s", [f"{n.network_per_s * 8 / 1e6:,.0f}" for n in fleets]),
    ]
    head = ["| | " + " | ".join(f"{n.devices:,} devices" for n in fleets) + " |", "|---|" + "---|" * len(fleets)]
    return "\n".join([*head, *(f"| {name} | " + " | ".join(values) + " |" for name, values in rows)])


def inputs_table(inputs: Mapping[str, Input]) -> str:
    """What went in, as Markdown."""
    rows = [f"| `{name}` | {item.value:g} {item.unit} | {item.source} |" for name, item in inputs.items()]
    return "\n".join(["| input | value | where from |", "|---|---|---|", *rows])


def document_part(inputs: Mapping[str, Input] = INPUTS) -> str:
    """What docs/scaling.md has between its marks."""
    without = {**inputs, **WITHOUT_STREAMS}
    return "\n\n".join(
        [
            BEGIN,
            needs_table([needs_of(devices, inputs) for devices in FLEETS]),
            f"The same with {_told(WITHOUT_STREAMS)}:",
            needs_table([needs_of(devices, without) for devices in FLEETS]),
            inputs_table(inputs),
            END,
        ]
    )


#: Something on the way breaks the streams of all devices.
WITHOUT_STREAMS: Final[Mapping[str, Input]] = {
    "streams": Input(0, "of the devices", "something on the way breaks them"),
    "check_in_every_s": Input(60, "s", "default of `serve --check-in-interval`"),
}


def _told(changed: Mapping[str, Input]) -> str:
    return " and ".join(f"`{name}` = {item.value:g} {item.unit} ({item.source})" for name, item in changed.items())


def _changed(settings: Sequence[str]) -> dict[str, Input]:
    inputs = dict(INPUTS)
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in inputs:
            raise SystemExit(f"{name!r} is none of: {', '.join(inputs)}")
        inputs[name] = Input(float(value), inputs[name].unit, "given")
    return inputs


def main() -> int:
    """Print the tables, or write them into the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="What large fleets need.")
    parser.add_argument("--set", action="append", default=[], metavar="INPUT=VALUE", help="another value; repeatable")
    parser.add_argument("--write", action="store_true", help="into docs/scaling.md")
    arguments = parser.parse_args()
    if arguments.write:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(before + document_part() + after, encoding="utf-8")
        return 0
    print(document_part(_changed(arguments.set)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
