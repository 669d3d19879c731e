"""Faults, each really produced on one healthy device: what is done to it, and what has to be mended first."""

import shutil
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from agent.cli.doctor_wiring import Target
from agent.domain.errors import BucklerError
from agent.domain.facts import Finding, Severity
from agent.domain.files import FileIdentity
from agent.domain.health import HealthIssue
from agent.domain.incident import Incident, IncidentAction, Origin
from agent.domain.quarantine import CaptureState, FileMetadata, QuarantineEntry
from agent.domain.services import ServiceState
from agent.local_api.status import ResourceFacts, VaultFacts
from agent.platform.system_facts import competitors
from agent.support.surroundings import BuildSeen
from tests.fakes.control_plane import Authority
from tests.fakes.patient import NOW, Patient
from tests.fakes.strangers import PORTAL_PAGE, PROXY_PAGE, Answer, closed_port, hangs_up, listening, says
from tests.scratch_mounts import scratch_tmpfs
from wire.activation_key import format_activation_key, generate_activation_key
from wire.v1 import common_pb2

KEY = format_activation_key(generate_activation_key(b"eleven byte"))
OTHER_KEY = format_activation_key(generate_activation_key(b"twelve byte"))
#: For tests: made once, because keys are slow.
STRANGER = Authority()

Produce = Callable[[Patient], Iterator[None]]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        name: For the test's name.
        code: What has to come first.
        case: Number of the support case, 1 to 15; 0: none of them.
        mended: `--fix` clears it.
        root: Needs root, for mounts.
        produce: Does it until it is closed.
    """

    name: str
    code: str
    case: int
    mended: bool
    root: bool
    produce: Callable[[Patient], AbstractContextManager[None]]


FAULTS: list[Fault] = []


def fault(code: str, *, case: int = 0, mended: bool = False, root: bool = False) -> Callable[[Produce], Produce]:
    """Put one on the list."""

    def register(produce: Produce) -> Produce:
        name = produce.__name__.strip("_")
        FAULTS.append(Fault(name, code, case, mended, root, contextmanager(produce)))
        return produce

    return register


def parameters() -> list[object]:
    """For `pytest.mark.parametrize`."""
    return [pytest.param(each, id=each.name, marks=[pytest.mark.root] if each.root else []) for each in FAULTS]


# ---------------------------------------------------------------- the network


def _elsewhere(patient: Patient, server: str) -> None:
    patient.target = Target(server)


@contextmanager
def _stranger(
    patient: Patient,
    answer: Answer,
    *,
    authority: Authority | None = None,
    protocols: tuple[str, ...] = ("h2",),
    since: timedelta = timedelta(days=1),
    until: timedelta = timedelta(days=30),
) -> Iterator[None]:
    tls = (authority or patient.plane.authority).server_certificate(since=since, until=until)
    with listening(answer, tls, protocols, patient.data_dir.parent) as server:
        _elsewhere(patient, server)
        yield


@fault("NET_DNS", case=1)
def the_name_is_not_known(patient: Patient) -> Iterator[None]:
    _elsewhere(patient, f"{'x' * 64}.invalid:8443")
    yield


@fault("NET_PORT", case=1)
def nothing_listens(patient: Patient) -> Iterator[None]:
    _elsewhere(patient, closed_port())
    yield


@fault("NET_PORT")
def the_port_for_devices_is_closed(patient: Patient) -> Iterator[None]:
    _write(patient, "UPDATE enrolment SET device_server = ?", closed_port())
    yield


@fault("NET_PROXY", case=1)
def only_a_proxy_leads_out(patient: Patient) -> Iterator[None]:
    patient.machine.seen_proxies = {"https_proxy": "proxy.invalid:3128"}
    _elsewhere(patient, closed_port())
    yield


@fault("NET_TLS_INTERCEPT", case=1)
def tls_is_opened_on_the_way(patient: Patient) -> Iterator[None]:
    with _stranger(patient, hangs_up, authority=STRANGER):
        yield


@fault("NET_NO_TLS", case=1)
def a_captive_portal_answers(patient: Patient) -> Iterator[None]:
    with listening(says(PORTAL_PAGE)) as server:
        _elsewhere(patient, server)
        yield


@fault("NET_HTTP2")
def a_middlebox_offers_http_1_only(patient: Patient) -> Iterator[None]:
    with _stranger(patient, says(PROXY_PAGE), protocols=("http/1.1",)):
        yield


@fault("NET_HTTP2")
def a_middlebox_cuts_http_2(patient: Patient) -> Iterator[None]:
    with _stranger(patient, hangs_up):
        yield


@fault("NET_HTTP2")
def a_middlebox_answers_http_2_with_a_page(patient: Patient) -> Iterator[None]:
    with _stranger(patient, says(PROXY_PAGE)):
        yield


@fault("SERVER_CERTIFICATE_EXPIRED")
def the_servers_certificate_has_expired(patient: Patient) -> Iterator[None]:
    with _stranger(patient, hangs_up, until=timedelta(hours=-1), since=timedelta(days=2)):
        yield


@fault("SERVER_CERTIFICATE_NOT_YET_VALID")
def the_servers_certificate_is_of_tomorrow(patient: Patient) -> Iterator[None]:
    with _stranger(patient, hangs_up, since=timedelta(days=-1)):
        yield


@fault("SERVER_CERTIFICATE_OTHER_NAME")
def the_servers_certificate_is_for_another_name(patient: Patient) -> Iterator[None]:
    tls = patient.plane.authority.server_certificate(name="other.invalid")
    with listening(hangs_up, tls, ("h2",), patient.data_dir.parent) as server:
        _elsewhere(patient, server)
        yield


@fault("SVC_UNAVAILABLE", case=1)
def the_control_plane_is_ill(patient: Patient) -> Iterator[None]:
    patient.plane.busy = True
    yield


@fault("VERSION_SKEW")
def the_control_plane_is_older(patient: Patient) -> Iterator[None]:
    patient.plane.version = "0.0.9"
    yield


@fault("VERSION_TOO_OLD")
def the_agent_is_too_old(patient: Patient) -> Iterator[None]:
    patient.plane.oldest_agent = "9.0.0"
    yield


# ---------------------------------------------------------------- keys, seats, entitlements, money


def _refused(patient: Patient, key: str) -> None:
    """A newcomer whose activation is refused."""
    patient.data_dir = patient.data_dir.with_name("newcomer")
    with pytest.raises(BucklerError):
        patient.activate(key)


@fault("DEVICE_REVOKED", case=2)
def the_devices_credentials_are_refused(patient: Patient) -> Iterator[None]:
    patient.fields["last_contact_error"] = "DEVICE_REVOKED: this device may not come back"
    patient.fields["last_contact_next_step"] = "Ask the administrator"
    yield


@fault("KEY_MISTYPED", case=3)
def the_key_is_mistyped(patient: Patient) -> Iterator[None]:
    _refused(patient, KEY[:-1] + ("2" if KEY[-1] != "2" else "3"))
    yield


@fault("KEY_USED_UP", case=4)
def the_key_was_redeemed_elsewhere(patient: Patient) -> Iterator[None]:
    patient.plane.keys[OTHER_KEY] = "KEY_USED_UP"
    _refused(patient, OTHER_KEY)
    yield


@fault("KEY_UNKNOWN", case=5)
def the_key_is_for_something_else(patient: Patient) -> Iterator[None]:
    _refused(patient, OTHER_KEY)
    yield


@fault("SEAT_LIMIT", case=6)
def all_seats_are_taken(patient: Patient) -> Iterator[None]:
    patient.plane.seat_limit = 1
    _refused(patient, KEY)
    yield


@fault("ACTIVATION_UNFINISHED")
def the_answer_to_an_activation_is_lost(patient: Patient) -> Iterator[None]:
    patient.plane.seat_limit, patient.plane.lose_answers = 99, 1
    _refused(patient, KEY)
    yield


@fault("CLOCK_SKEW", case=9)
def the_clock_is_ahead(patient: Patient) -> Iterator[None]:
    patient.clock.set_wall(NOW + timedelta(hours=3, minutes=12))
    yield


@fault("CLOCK_SKEW", case=9)
def the_clock_is_behind_and_the_network_is_down(patient: Patient) -> Iterator[None]:
    _write(patient, "UPDATE enrolment SET device_server = ''")
    _write(patient, "UPDATE enrolment SET server = ''")
    patient.clock.set_wall(NOW - timedelta(days=30))
    yield


def _later(patient: Patient, span: timedelta) -> None:
    """Time passes, for the device and for the control plane."""
    patient.clock.advance(span)
    patient.plane.now = NOW + span


@fault("TOKEN_STALE", case=10, mended=True)
def it_was_paid_and_the_device_does_not_know(patient: Patient) -> Iterator[None]:
    _later(patient, timedelta(days=2))
    patient.on_wake = lambda: patient.activate(KEY)
    yield


@fault("TOKEN_EXPIRED", case=10)
def the_device_was_away_for_too_long(patient: Patient) -> Iterator[None]:
    patient.plane.certificate_life = timedelta(days=100)
    patient.activate(KEY)
    patient.plane.certificate_life = timedelta(days=20)
    _later(patient, timedelta(days=50))
    yield


def _access(patient: Patient, level: int, reason: str) -> None:
    patient.plane.change_access(level, reason)
    patient.activate(KEY)


@fault("PAYMENT_FAILED", case=11)
def the_card_was_declined(patient: Patient) -> Iterator[None]:
    _access(patient, common_pb2.ACCESS_LEVEL_LIMITED, "PAYMENT_FAILED")
    yield


@fault("PAYMENT_OVERDUE", case=11)
def the_card_will_be_tried_again(patient: Patient) -> Iterator[None]:
    _access(patient, common_pb2.ACCESS_LEVEL_GRACE, "PAYMENT_OVERDUE")
    yield


@fault("SUBSCRIPTION_EXPIRED", case=14)
def renewal_was_off_and_the_term_is_over(patient: Patient) -> Iterator[None]:
    _access(patient, common_pb2.ACCESS_LEVEL_LIMITED, "SUBSCRIPTION_EXPIRED")
    yield


@fault("SUBSCRIPTION_ENDED", case=15)
def it_was_cancelled_and_refunded(patient: Patient) -> Iterator[None]:
    _access(patient, common_pb2.ACCESS_LEVEL_ENDED, "SUBSCRIPTION_ENDED")
    yield


@fault("SEAT_RELEASED")
def the_seat_was_released(patient: Patient) -> Iterator[None]:
    _access(patient, common_pb2.ACCESS_LEVEL_LIMITED, "SEAT_RELEASED")
    yield


@fault("ENTITLEMENT_REFUSED")
def the_entitlement_was_tampered_with(patient: Patient) -> Iterator[None]:
    _write(patient, "UPDATE enrolment SET signature = zeroblob(64)")
    yield


@fault("CERTIFICATE_EXPIRED")
def the_certificate_has_expired(patient: Patient) -> Iterator[None]:
    _later(patient, timedelta(days=21))
    yield


@fault("CERTIFICATE_EXPIRES_SOON")
def the_certificate_was_not_renewed(patient: Patient) -> Iterator[None]:
    _later(patient, timedelta(days=18))
    yield


@fault("CERTIFICATE_OF_OTHER_KEY")
def the_key_was_exchanged(patient: Patient) -> Iterator[None]:
    other = patient.data_dir.with_name("other")
    patient.plane.seat_limit, own = 99, patient.data_dir
    patient.data_dir = other
    patient.activate(KEY)
    shutil.copy(other / "device.key", own / "device.key")
    patient.data_dir = own
    yield


# ---------------------------------------------------------------- this machine


@fault("PLATFORM_MISMATCH", case=7)
def the_build_is_for_another_processor(patient: Patient) -> Iterator[None]:
    patient.machine.seen_build = BuildSeen("linux", "aarch64", "x86_64", (3, 11))
    yield


@fault("PLATFORM_MISMATCH")
def a_library_does_not_load(patient: Patient) -> Iterator[None]:
    patient.machine.seen_build = BuildSeen("linux", "x86_64", "x86_64", (3, 11), {"yara": "ImportError"})
    yield


@fault("CONFLICT_AV", case=8)
def another_product_watches_too(patient: Patient) -> Iterator[None]:
    program = patient.data_dir.parent / "clamonacc"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([str(program), "60"]) as process:
        try:
            patient.machine.others = competitors()
            yield
        finally:
            process.kill()


@fault("CONFIG_INVALID")
def a_setting_is_mistyped(patient: Patient) -> Iterator[None]:
    patient.config = patient.data_dir.with_name("agent.toml")
    patient.config.write_text("[realtime]\nrots = ['/home']\n")
    yield


@fault("CONFIG_UNREADABLE")
def the_configuration_is_gone(patient: Patient) -> Iterator[None]:
    patient.config = patient.data_dir.with_name("gone.toml")
    yield


@fault("DATA_DIR_OPEN", mended=True)
def others_may_write_to_the_data_folder(patient: Patient) -> Iterator[None]:
    patient.data_dir.chmod(0o777)
    yield


@fault("DATA_DIR_OPEN", mended=True)
def others_may_read_the_device_key(patient: Patient) -> Iterator[None]:
    (patient.data_dir / "device.key").chmod(0o644)
    yield


@fault("DATA_DIR_UNUSABLE", root=True)
def the_data_folder_is_read_only(patient: Patient) -> Iterator[None]:
    with _moved(patient, "size=64m") as point:
        subprocess.run(["mount", "-o", "remount,ro", str(point)], check=True)
        yield


@fault("DISK_FULL", root=True, mended=True)
def the_disk_is_full(patient: Patient) -> Iterator[None]:
    with _moved(patient, "size=40m"):
        (patient.data_dir / "compiled-rules").mkdir()
        with suppress(OSError):
            (patient.data_dir / "compiled-rules" / "big").write_bytes(bytes(64 << 20))
        yield


@fault("DISK_FULL", root=True)
def the_disk_takes_no_more_files(patient: Patient) -> Iterator[None]:
    with _moved(patient, "size=400m,nr_inodes=60"):
        yield


@contextmanager
def _moved(patient: Patient, options: str) -> Iterator[Path]:
    with scratch_tmpfs(patient.data_dir.with_name("disk"), options) as point:
        patient.data_dir = Path(shutil.copytree(patient.data_dir, point / "data"))
        yield point


def _write(patient: Patient, statement: str, *values: str) -> None:
    """As no program of ours would."""
    with closing(sqlite3.connect(patient.data_dir / "agent.db", isolation_level=None)) as connection:
        connection.execute(statement, values)


def _tear(patient: Patient, table: str) -> None:
    path = patient.data_dir / "agent.db"
    with closing(sqlite3.connect(path)) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


@fault("DATABASE_DAMAGED", mended=True)
def a_page_of_the_database_is_torn(patient: Patient) -> Iterator[None]:
    _tear(patient, "outbox")
    yield


@fault("DATABASE_DAMAGED", mended=True)
def the_database_is_no_database(patient: Patient) -> Iterator[None]:
    (patient.data_dir / "agent.db").write_bytes(b"not a database" * 1000)
    yield


@fault("DATABASE_NEWER")
def a_later_version_wrote_the_database(patient: Patient) -> Iterator[None]:
    _write(patient, "PRAGMA user_version = 99")
    yield


@fault("DEVICE_KEY_DAMAGED")
def the_device_key_is_damaged(patient: Patient) -> Iterator[None]:
    (patient.data_dir / "device.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\nno\n")
    yield


@fault("DEVICE_KEY_MISSING")
def the_device_key_is_gone(patient: Patient) -> Iterator[None]:
    (patient.data_dir / "device.key").unlink()
    yield


# ---------------------------------------------------------------- the agent


def _agent(patient: Patient, *issues: HealthIssue) -> None:
    assert patient.facts is not None
    patient.facts = replace(patient.facts, issues=issues)


@fault("SERVICE_FAILED", mended=True)
def the_service_ended_by_itself(patient: Patient) -> Iterator[None]:
    patient.service = replace(patient.service, state=ServiceState.FAILED, pid=None, last_exit="exit status 70")
    yield


@fault("SERVICE_STOPPED", mended=True)
def the_service_was_stopped(patient: Patient) -> Iterator[None]:
    patient.service = replace(patient.service, state=ServiceState.STOPPED, pid=None)
    yield


@fault("SERVICE_RESTARTS")
def the_service_starts_again_and_again(patient: Patient) -> Iterator[None]:
    patient.service = replace(patient.service, restarts=17, last_exit="killed by SIGSEGV")
    yield


@fault("SERVICE_DISABLED")
def the_service_does_not_start_with_the_machine(patient: Patient) -> Iterator[None]:
    patient.service = replace(patient.service, enabled=False)
    yield


@fault("AGENT_NOT_RUNNING")
def no_agent_runs(patient: Patient) -> Iterator[None]:
    patient.facts = None
    yield


@fault("AGENT_NOT_ANSWERING")
def the_agent_hangs_up(patient: Patient) -> Iterator[None]:
    patient.real_agent = True
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(patient.data_dir / "status.sock"))
        listener.listen()
        thread = threading.Thread(target=_hang_up_on_everybody, args=(listener,), daemon=True)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _hang_up_on_everybody(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


@fault("SCANNER_UNAVAILABLE")
def the_scan_workers_were_killed(patient: Patient) -> Iterator[None]:
    assert patient.facts is not None
    patient.facts = replace(patient.facts, engine=replace(patient.facts.engine, workers=0))
    yield


@fault("PARTS_RESTARTED")
def a_part_of_the_agent_fails_again_and_again(patient: Patient) -> Iterator[None]:
    assert patient.facts is not None
    patient.facts = replace(patient.facts, resources=ResourceFacts("normal", part_restarts=(("link", 9),)))
    yield


@fault("SOURCE_DOWN")
def the_event_source_died(patient: Patient) -> Iterator[None]:
    _agent(patient, HealthIssue("degraded", "a walk is owed"), HealthIssue("source_down", "no more descriptors"))
    yield


@fault("ROOT_LOST")
def a_watched_folder_is_gone(patient: Patient) -> Iterator[None]:
    _agent(patient, HealthIssue("root_lost", "/home is not there"))
    yield


@fault("PROTECTION_UNPROVEN")
def the_proof_is_missing(patient: Patient) -> Iterator[None]:
    _agent(patient, HealthIssue("protection_unproven", "the self-test has not come back"))
    yield


@fault("DEGRADED")
def events_were_lost(patient: Patient) -> Iterator[None]:
    _agent(patient, HealthIssue("degraded", "a reconciliation is running: events were lost"))
    yield


@fault("SELF_TEST_FAILED")
def the_rules_find_nothing(patient: Patient) -> Iterator[None]:
    patient.scan = replace(patient.scan, found=())
    yield


@fault("SIGNATURES_OLD")
def the_rules_are_old(patient: Patient) -> Iterator[None]:
    assert patient.facts is not None
    engine = replace(patient.facts.engine, signatures_made_at=NOW - timedelta(days=90))
    patient.facts = replace(patient.facts, engine=engine)
    yield


@fault("RESOURCES_EXCEEDED")
def scanning_costs_too_much(patient: Patient) -> Iterator[None]:
    assert patient.facts is not None
    patient.facts = replace(patient.facts, resources=ResourceFacts("throttled", "cpu: /home/ann/build.log"))
    yield


@fault("SCAN_QUEUE_LONG")
def scanning_cannot_keep_up(patient: Patient) -> Iterator[None]:
    patient.fields["queue_depth"] = 4_000
    yield


@fault("VERSION_OF_AGENT_OLD")
def the_agent_was_not_started_anew(patient: Patient) -> Iterator[None]:
    patient.fields["app_version"] = "0.0.8"
    yield


# ---------------------------------------------------------------- quarantine and outbox


def _held(patient: Patient, state: CaptureState) -> None:
    entry = QuarantineEntry(
        id="q_1",
        incident_uuid=UUID(int=1),
        state=state,
        original_path="/home/ann/x",
        identity=FileIdentity(1, 2, 68, 3, 4),
        sha256="ab" * 32,
        metadata=FileMetadata(0o644, 0, 0, 1, 1),
        findings=(Finding("Eicar", "test", Severity.CRITICAL),),
        planned_at=NOW,
    )
    with closing(patient.database()) as database, database.transaction() as tables:
        tables.journal.add(entry)


@fault("VAULT_MISSING")
def the_vault_is_gone(patient: Patient) -> Iterator[None]:
    _held(patient, CaptureState.DONE)
    yield


@fault("CAPTURE_UNFINISHED")
def a_file_is_on_its_way_to_the_vault(patient: Patient) -> Iterator[None]:
    _held(patient, CaptureState.CAPTURED)
    yield


@fault("QUARANTINE_LEAVING")
def the_vault_will_be_tidied(patient: Patient) -> Iterator[None]:
    assert patient.facts is not None
    leaving = VaultFacts(9, 9 << 20, 2, 3 << 20, NOW + timedelta(days=7))
    patient.facts = replace(patient.facts, vault=leaving)
    yield


@fault("OUTBOX_LOST")
def detections_were_refused_for_good(patient: Patient) -> Iterator[None]:
    _report(patient, 1)
    with closing(patient.database()) as database, database.transaction() as tables:
        tables.outbox.set_aside(UUID(int=0), "MALFORMED")
    yield


@fault("NOTHING_ACCEPTED")
def the_control_plane_answers_and_stores_nothing(patient: Patient) -> Iterator[None]:
    _report(patient, 1)
    patient.fields["outbox_error"] = "NOTHING_ACCEPTED: it stores nothing"
    patient.fields["outbox_next_step"] = "Tell the administrator"
    yield


@fault("OUTBOX_STUCK")
def detections_wait(patient: Patient) -> Iterator[None]:
    _report(patient, 501)
    yield


def _report(patient: Patient, count: int) -> None:
    first = Incident(
        UUID(int=0), NOW, "/x", "cd" * 32, 68, (), IncidentAction.REPORTED, "", Origin.REAL_TIME, "yara", "7"
    )
    with closing(patient.database()) as database, database.transaction() as tables:
        for number in range(count):
            tables.outbox.add(replace(first, uuid=UUID(int=number)))
