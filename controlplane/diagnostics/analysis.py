"""Finds likely causes in a bundle: rules, each of them one small function of what was read. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice

from controlplane.diagnostics.model import Cause, Certainty, Evidence, Json, ReadBundle, number, objects, said
from controlplane.runtime.counting import counted

Rule = Callable[[ReadBundle], Iterator[Cause]]

#: Less free space than this stops a database from being written.
_FULL_MB = 100
_LITTLE_MEMORY_MB = 128
#: Restarts that are no accident any more.
_MANY_RESTARTS = 3
_OLD_CONTACT_DAYS = 3
_MANY_WAITING = 1_000
#: Of all scan time.
_DOMINATES = 0.5
#: Seconds of scanning in an hour from which on people notice.
_NOTICEABLE_MS = 60_000
_LONGEST_QUOTE = 200
#: A bundle that claims more of one kind is not worth more lines.
_MOST_OF_A_RULE = 20
_LAST_ERROR = re.compile(r"^([A-Za-z_.]+(?:Error|Exception|Exit)\b.*)$", re.MULTILINE)
_LOG_LEVEL = re.compile(r"\[(?:error|critical|exception)\s*\]\s*(\S+)")


def likely_causes(bundle: ReadBundle) -> tuple[Cause, ...]:
    """Everything the rules find, the surest first, in the order of the rules; each code once."""
    found: dict[str, Cause] = {}
    for rule in RULES:
        for cause in islice(rule(bundle), _MOST_OF_A_RULE):
            found.setdefault(cause.code, cause)
    return tuple(sorted(found.values(), key=lambda cause: cause.certainty))


# ---------------------------------------------------------------- what keeps an agent from running


def _configuration(bundle: ReadBundle) -> Iterator[Cause]:
    error = bundle.error("configuration.json")
    if error.startswith("CONFIG_"):
        yield Cause(
            error.partition(":")[0],
            Certainty.CERTAIN,
            "the configuration cannot be read, so no command and no agent of this device starts",
            (_quoted("configuration.json", error),),
            "correct the key that is named; docs/configuration.md lists them all",
        )


def _database(bundle: ReadBundle) -> Iterator[Cause]:
    damage, error = bundle.facts("database.json").get("damage"), bundle.error("database.json")
    if damage or error.startswith("DATABASE_DAMAGED"):
        says = said(damage) if damage else error
        yield Cause(
            "DATABASE_DAMAGED",
            Certainty.CERTAIN,
            "the agent's database is damaged, so it cannot start, or forgets what it was told",
            (_quoted("database.json", says),),
            "stop the agent, move agent.db aside (the vault stays as it is), start it and activate again",
        )
    elif error.startswith("DATABASE_"):
        yield Cause(
            error.partition(":")[0],
            Certainty.CERTAIN,
            "the agent's database cannot be used",
            (_quoted("database.json", error),),
            "do what the error says: free the disk, end the program that holds it, or correct its permissions",
        )
    facts = bundle.facts("database.json")
    schema, known = number(facts.get("schema")), number(facts.get("schema_known"))
    if schema is not None and known is not None and schema > known:
        yield Cause(
            "DATABASE_NEWER",
            Certainty.CERTAIN,
            "a later version of Buckler wrote the database, and this one refuses it",
            (_quoted("database.json", f"schema {schema:g}, known {known:g}"),),
            "install the later version again",
        )


def _disk(bundle: ReadBundle) -> Iterator[Cause]:
    disks = bundle.facts("machine.json").get("disks")
    for name, disk in disks.items() if isinstance(disks, Mapping) else ():
        free = number(disk.get("free_mb")) if isinstance(disk, Mapping) else None
        if free is not None and free < _FULL_MB:
            yield Cause(
                f"DISK_FULL_{name.upper()}",
                Certainty.CERTAIN,
                f"the disk of the {name} folder is full: nothing can be taken, reported or remembered",
                (_quoted("machine.json", f"{free:g} MB free"),),
                "free some space there; what could not be done is caught up on",
            )


def _service(bundle: ReadBundle) -> Iterator[Cause]:
    service = bundle.facts("service.json")
    restarts, state = number(service.get("restarts")), service.get("state")
    says = "; ".join(
        f"{name} {said(service.get(name))}" for name in ("state", "restarts", "last_exit") if service.get(name)
    )
    if state == "failed" or (restarts is not None and restarts >= _MANY_RESTARTS):
        yield Cause(
            "SERVICE_FAILS",
            Certainty.CERTAIN,
            "the service ends by itself again and again",
            (_quoted("service.json", says),),
            "see its last exit and the end of log.txt; correct what they name, then `buckler service start`",
        )
    elif service and service.get("installed") is False:
        yield Cause(
            "SERVICE_NOT_INSTALLED",
            Certainty.LIKELY,
            "there is no service, so nothing protects this device after a restart",
            (_quoted("service.json", "installed false"),),
            "run `buckler service install` as root",
        )
    elif service.get("installed") and service.get("running") is False:
        yield Cause(
            "SERVICE_STOPPED",
            Certainty.CERTAIN,
            "the service is installed and does not run",
            (_quoted("service.json", says),),
            "run `buckler service start`; if it was stopped on purpose, ask by whom",
        )


def _not_running(bundle: ReadBundle) -> Iterator[Cause]:
    for line in bundle.rows("expected.json"):
        if line.get("what") == "an agent answers" and line.get("as_expected") is False:
            yield Cause(
                "AGENT_NOT_RUNNING",
                Certainty.CERTAIN,
                "no agent answered when the bundle was made, so nothing was watched",
                (_quoted("expected.json", "an agent answers: false"),),
                "start it with `buckler service start`; if it does not stay, what is named before this is why",
            )


def _crashes(bundle: ReadBundle) -> Iterator[Cause]:
    text = bundle.text("crash-reports.txt")
    errors = _LAST_ERROR.findall(text)
    if errors:
        yield Cause(
            "CRASHED",
            Certainty.LIKELY,
            f"a command failed in a way it should not have, {text.count('==== ') or 1} times",
            (_quoted("crash-reports.txt", str(errors[0])),),
            "give the report to the developers; the trace is in the item",
        )


def _permissions(bundle: ReadBundle) -> Iterator[Cause]:
    foreign = [said(row.get("name")) for row in bundle.rows("data-folder.json") if row.get("ours") is False]
    if foreign:
        yield Cause(
            "DATA_NOT_OURS",
            Certainty.POSSIBLE,
            "files of the data folder belong to another user than the one who made the bundle",
            (_quoted("data-folder.json", ", ".join(foreign)),),
            "if the bundle was made as the agent's user, give them back to it with chown",
        )


# ---------------------------------------------------------------- what keeps it from protecting


def _doctor(bundle: ReadBundle) -> Iterator[Cause]:
    """Check-ups that failed, whatever the doctor calls them: they looked at the live machine, we did not."""
    certainties = {"failing": Certainty.CERTAIN, "warning": Certainty.POSSIBLE}
    for check in objects(bundle.facts("doctor.json").get("results")):
        certainty = certainties.get(said(check.get("status")))
        if certainty is not None:
            name = said(check.get("code")) or "CHECK"
            yield Cause(
                name,
                certainty,
                said(check.get("effect")) or f"the check-up {name} fails",
                (_quoted("doctor.json", said(check.get("evidence")) or name),),
                said(check.get("next_step")) or "run `buckler doctor` on the device",
            )


def _health(bundle: ReadBundle) -> Iterator[Cause]:
    issues = bundle.facts("status.json").get("health_issues")
    for issue in issues if isinstance(issues, list) else ():
        code, _, sentence = said(issue).partition(": ")
        if code != "agent_not_running":
            yield Cause(
                code.upper(),
                Certainty.CERTAIN,
                sentence or code,
                (_quoted("status.json", said(issue)),),
                "do what the issue says; docs/status.md explains each",
            )


def _other_products(bundle: ReadBundle) -> Iterator[Cause]:
    others = bundle.facts("status.json").get("conflicting_applications") or bundle.facts("machine.json").get(
        "other_products"
    )
    if isinstance(others, list) and others:
        names = said(others)
        yield Cause(
            "OTHER_PRODUCT",
            Certainty.LIKELY,
            "another product holds files as they change; the two wait for each other and both look slow",
            (_quoted("status.json", names),),
            "let one of them watch: exclude each in the other, or remove one",
        )


def _lost_events(bundle: ReadBundle) -> Iterator[Cause]:
    lost = number(bundle.facts("status.json").get("events_lost"))
    if lost:
        yield Cause(
            "EVENTS_LOST",
            Certainty.LIKELY,
            "files changed faster than the kernel could tell; they were found by walks, later",
            (_quoted("status.json", f"events_lost {lost:g}"),),
            "see scan-costs for who writes so much, and exclude or slow that down",
        )


def _resources(bundle: ReadBundle) -> Iterator[Cause]:
    status = bundle.facts("status.json")
    free = number(bundle.facts("machine.json").get("memory_available_mb"))
    if free is not None and free < _LITTLE_MEMORY_MB:
        yield Cause(
            "LITTLE_MEMORY",
            Certainty.LIKELY,
            "the machine has hardly any memory left; scan workers are ended by the system",
            (_quoted("machine.json", f"{free:g} MB available"),),
            "see what else uses it; lower [resources] memory_mb and [scanner] workers",
        )
    if said(status.get("resource_governor")) not in {"", "normal"}:
        reason = f"{said(status.get('resource_governor'))}: {said(status.get('resource_governor_reason'))}"
        yield Cause(
            "SCANNING_SLOWED_DOWN",
            Certainty.CERTAIN,
            "scanning used more than [resources] allows and is being slowed down",
            (_quoted("status.json", reason),),
            "see scan-costs for the cause; raise [resources] only if the machine has room",
        )


# ---------------------------------------------------------------- licence and contact


def _licence(bundle: ReadBundle) -> Iterator[Cause]:
    status = bundle.facts("status.json")
    if status.get("licensed") is False:
        yield Cause(
            "NOT_LICENSED",
            Certainty.CERTAIN,
            "the device is not entitled to everything; detection, quarantine and local scans go on",
            (_quoted("status.json", f"{said(status.get('access'))}: {said(status.get('access_reason'))}"),),
            "see `buckler subscription` on the device for what brings it back",
        )


def _contact(bundle: ReadBundle) -> Iterator[Cause]:
    status = bundle.facts("status.json")
    error = status.get("last_contact_error")
    if error:
        yield Cause(
            "NO_CONTACT",
            Certainty.CERTAIN,
            "the device could not reach its control plane the last time it tried",
            (_quoted("status.json", said(error)),),
            "check name, port, proxy and TLS inspection between the device and the control plane",
        )
    last = _instant(status.get("last_check_in"))
    if last is None or bundle.made_at is None:
        return
    if last > bundle.made_at:
        yield Cause(
            "CLOCK_BEHIND",
            Certainty.CERTAIN,
            "the device's clock is behind: its last contact lies in its future",
            (_quoted("status.json", f"last_check_in {last.isoformat()}, bundle made {bundle.made_at.isoformat()}"),),
            "set the clock, and have it kept by NTP",
        )
    elif (bundle.made_at - last).days >= _OLD_CONTACT_DAYS:
        yield Cause(
            "LONG_WITHOUT_CONTACT",
            Certainty.LIKELY,
            f"the device has not talked to its control plane for {(bundle.made_at - last).days} days",
            (_quoted("status.json", f"last_check_in {last.isoformat()}"),),
            "if it was on, look for what keeps it from the network",
        )


def _outbox(bundle: ReadBundle) -> Iterator[Cause]:
    waiting = number(bundle.facts("database.json").get("outbox_pending"))
    aside = number(bundle.facts("database.json").get("outbox_set_aside"))
    if waiting is not None and waiting >= _MANY_WAITING:
        yield Cause(
            "REPORTS_PILE_UP",
            Certainty.LIKELY,
            "detections wait to be reported, so the control plane does not show what the device found",
            (_quoted("database.json", f"outbox_pending {waiting:g}"),),
            "restore the contact; they are sent by themselves then",
        )
    if aside:
        yield Cause(
            "REPORTS_REFUSED",
            Certainty.CERTAIN,
            "the control plane refused some detections for good",
            (_quoted("database.json", f"outbox_set_aside {aside:g}"),),
            "compare the versions of agent and control plane",
        )


# ---------------------------------------------------------------- slow machines


def _costs(bundle: ReadBundle) -> Iterator[Cause]:
    costs = bundle.facts("scan-costs-hour.json")
    all_ms = number(costs.get("ms"))
    if all_ms is None or all_ms < _NOTICEABLE_MS:
        return
    yield from _suggested(costs, all_ms)
    kinds = costs.get("costs")
    for kind in ("process", "folder", "format"):
        rows = objects(kinds.get(kind)) if isinstance(kinds, Mapping) else ()
        first = next((row for row in rows if not said(row.get("name")).startswith("(")), None)
        spent = number(first.get("ms")) if first is not None else None
        if first is not None and spent is not None and spent >= _DOMINATES * all_ms:
            share = f"{said(first.get('name'))}: {spent / 1000:.0f} s of {all_ms / 1000:.0f} s"
            yield Cause(
                f"ONE_{kind.upper()}_COSTS_MOST",
                Certainty.LIKELY,
                f"one {kind} causes more than half of all scanning in the last hour",
                (_quoted("scan-costs-hour.json", share),),
                "see whether it has to write so much, before anything is excluded",
            )


def _suggested(costs: Mapping[str, Json], all_ms: float) -> Iterator[Cause]:
    for row in objects(costs.get("suggestions")):
        yield Cause(
            "EXCLUSION_WOULD_HELP",
            Certainty.POSSIBLE,
            f"a folder could be excluded; but {said(row.get('risk'))}",
            (
                _quoted(
                    "scan-costs-hour.json",
                    f"{said(row.get('path'))}: {said(row.get('share'))} of {all_ms / 1000:.0f} s",
                ),
            ),
            f"weigh it with the owner: {said(row.get('command'))}",
        )


def _log(bundle: ReadBundle) -> Iterator[Cause]:
    events = _LOG_LEVEL.findall(bundle.text("log.txt"))
    if events:
        most, times = Counter(events).most_common(1)[0]
        yield Cause(
            "ERRORS_LOGGED",
            Certainty.POSSIBLE,
            f"the log has {counted(len(events), 'error')}",
            (_quoted("log.txt", f"{most}, {counted(times, 'time')}"),),
            "read the lines around it in log.txt",
        )


#: In this order: what keeps an agent from starting explains what comes after it.
RULES: tuple[Rule, ...] = (
    _configuration, _database, _disk, _doctor, _service, _crashes, _not_running, _health, _licence, _contact, _outbox,
    _resources, _other_products, _lost_events, _costs, _permissions, _log,
)  # fmt: skip


def not_collected(bundle: ReadBundle) -> tuple[Evidence, ...]:
    """Items that should be there and are not: what the rules could not look at."""
    return tuple(
        Evidence(item.name, item.error or item.status)
        for item in bundle.items.values()
        if item.status in {"failed", "held_back"}
    )


def _quoted(item: str, text: str) -> Evidence:
    return Evidence(item, text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…")


def _instant(value: Json) -> datetime | None:
    try:
        instant = datetime.fromisoformat(said(value))
    except ValueError:
        return None
    return instant if instant.tzinfo else None
