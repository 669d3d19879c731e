"""Every check-up, in the order of causes: what stands earlier can be why something later fails.

First what lies on the machine, then the agent, then the network, then the account.
"""

from agent.support.check import Check
from agent.support.checks import (
    activation,
    agent,
    build,
    certificate,
    clock,
    configuration,
    conflicts,
    contact,
    data_folder,
    database,
    device_key,
    disk_space,
    dns,
    entitlement,
    http2,
    outbox,
    port,
    protection,
    proxy,
    quarantine,
    resources,
    self_test,
    server,
    service,
    signatures,
    tls,
    versions,
    workers,
)

ALL: tuple[Check, ...] = tuple(
    room.CHECK
    for room in (
        build, configuration, disk_space, data_folder, database, clock, device_key,
        service, agent, workers, protection, self_test, conflicts, quarantine, resources, signatures,
        proxy, dns, port, tls, http2, server, versions, certificate, activation, entitlement, contact, outbox,
    )
)  # fmt: skip

#: What is looked at when an activation failed: the way there, and what a refusal may be about.
ON_THE_WAY = ("clock", "proxy", "dns", "port", "tls", "http2", "server", "versions")
OF_THE_ACCOUNT = ("clock", "device_key", "certificate", "entitlement")
OF_THE_MACHINE = ("build", "disk_space", "data_folder", "database", "device_key")

WAY_CODES = frozenset({"SERVER_UNKNOWN", "SERVER_UNREACHABLE", "SERVER_NOT_TRUSTED", "SERVER_BUSY", "SERVER_ERROR"})
#: The answer says everything by itself, and looking further would only bury it.
PLAIN = frozenset(
    {
        "KEY_MISTYPED", "KEY_FILE_UNREADABLE", "SERVER_MISSING", "SERVER_ADDRESS_INVALID", "CA_FILE_INVALID", "USAGE",
        "CONFIG_INVALID", "CONFIG_UNREADABLE", "LICENCE_FILE_INVALID", "REQUEST_FILE_UNWRITABLE",
    }
)  # fmt: skip
_MACHINE_CODES = ("DATA_DIR_", "DATABASE_", "DEVICE_KEY_")


def checks_after(code: str) -> tuple[str, ...]:
    """Names of the check-ups that can explain why an activation ended with a code; none: it explains itself."""
    if code in PLAIN:
        return ()
    if code in WAY_CODES:
        return ON_THE_WAY
    if code.startswith(_MACHINE_CODES):
        return OF_THE_MACHINE
    return OF_THE_ACCOUNT
