import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import text

from controlplane.connecting import tracing_of
from controlplane.runtime.observability.call_log import Entered
from controlplane.runtime.observability.telemetry import MAX_HEADER_CHARACTERS, Telemetry, telemetry
from controlplane.runtime.observability.tracing import Metadata, NoTracing, Tracing
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.database import Database
from tests.fakes.jobs import job_of_kind

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
METHOD = "/buckler.v1.DeviceService/CheckIn"


class Followed:
    """Telemetry whose spans stay here."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing: Telemetry = telemetry("", SimpleSpanProcessor(self._exporter))

    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()


def call(tracing: Tracing, code: str, metadata: Metadata = (), error: Exception | None = None) -> None:
    entered = Entered(METHOD, "req_12345678", 0.0)
    with tracing.call(entered, metadata):
        entered.principal = DevicePrincipal("dev_1", "org_1", b"")
        entered.code = code
        if error is not None:
            raise error


def test_a_call_has_a_span_with_the_ids_of_the_log() -> None:
    followed = Followed()
    call(followed.tracing, "OK")
    [span] = followed.spans()
    assert (span.name, span.kind, span.status.status_code) == (METHOD[1:], SpanKind.SERVER, StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "rpc.system": "grpc",
        "rpc.service": "buckler.v1.DeviceService",
        "rpc.method": "CheckIn",
        "rpc.grpc.status": "OK",
        "buckler.request_id": "req_12345678",
        "buckler.org_id": "org_1",
        "buckler.device_id": "dev_1",
        "buckler.db.statements": 0,
        "buckler.db.seconds": 0.0,
    }


@pytest.mark.parametrize(
    ("code", "status"),
    [("PERMISSION_DENIED", StatusCode.UNSET), ("NOT_FOUND", StatusCode.UNSET), ("INTERNAL", StatusCode.ERROR)],
)
def test_a_refusal_is_no_error_of_ours_and_words_of_errors_are_not_told(code: str, status: StatusCode) -> None:
    followed = Followed()
    with pytest.raises(RuntimeError):
        call(followed.tracing, code, error=RuntimeError("the password is swordfish"))
    [span] = followed.spans()
    assert span.status.status_code is status
    assert "swordfish" not in span.to_json()


def test_the_trace_of_who_calls_goes_on() -> None:
    followed = Followed()
    call(followed.tracing, "OK", [("traceparent", f"00-{TRACE}-{SPAN}-01"), ("authorization", "Bearer swordfish")])
    [span] = followed.spans()
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert "swordfish" not in span.to_json()


@pytest.mark.parametrize(
    "unfit", ["", "00-0-0-01", "x" * (MAX_HEADER_CHARACTERS + 1), f"00-{'0' * 32}-{SPAN}-01", "\x00"]
)
def test_a_trace_that_is_none_begins_a_new_one(unfit: str) -> None:
    followed = Followed()
    call(followed.tracing, "OK", [("traceparent", unfit), ("traceparent-bin", b"\xff")])
    [span] = followed.spans()
    assert span.parent is None


async def test_the_statements_of_a_call_are_counted(tmp_path: Path) -> None:
    followed, database = Followed(), Database(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    followed.tracing.watch(database.engine.sync_engine)

    async def ask(times: int) -> None:
        async with database.reading() as connection:
            for _ in range(times):
                await connection.execute(text("SELECT 1"))

    await ask(2)  # nobody's: as the database opens, it says things of its own
    with followed.tracing.call(Entered(METHOD, "req_12345678", 0.0), ()):
        await ask(3)
    await database.close()
    [span] = followed.spans()
    assert span.attributes is not None
    # BEGIN, and the three.
    assert span.attributes["buckler.db.statements"] == 4
    assert span.attributes["buckler.db.seconds"] > 0  # type: ignore[operator]


def test_a_job_has_a_trace_of_its_own_and_says_that_it_failed() -> None:
    followed = Followed()
    with pytest.raises(RuntimeError), followed.tracing.job(job_of_kind("billing.collect")):
        raise RuntimeError("the password is swordfish")
    [span] = followed.spans()
    assert (span.name, span.parent, span.status.status_code) == ("job billing.collect", None, StatusCode.ERROR)
    assert span.status.description == "RuntimeError"
    assert "swordfish" not in span.to_json()


def test_nobody_follows_unless_it_is_configured(tmp_path: Path) -> None:
    tracing = tracing_of(None, Database(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}"))
    assert isinstance(tracing, NoTracing)
    call(tracing, "OK")
    with tracing.job(job_of_kind("x")):
        tracing.finish()


def test_a_server_that_nobody_follows_imports_nothing_for_it() -> None:
    # Another process: this one has imported it.
    program = "import sys, controlplane.serving; print([name for name in sys.modules if 'opentelemetry' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
