"""Keeps the policy that the organisation gave: tries it, puts it in force, falls back to the last good one.

A policy is refused when this agent does not understand all of it, or when it would leave nothing protected; the one
before stays in force then, and the control plane is told both names and the reason. A policy that needs a restart is on
trial until protection has been proven under it: an agent that did not come up with it starts with the last good one.
"""

from collections.abc import Callable
from dataclasses import replace

import structlog

from agent.control.policy.managed_policy import GivenPolicy, ManagedPolicy, PolicyRecord, needs_restart
from agent.domain.health import HealthIssue
from agent.domain.ports import Store
from wire.policy_document import PolicyDocumentError

log = structlog.get_logger(__name__)
#: Setting of the store.
POLICY_RECORD = "managed_policy"
#: What of a control plane's names is kept.
_MOST_CHARACTERS = 255


class PolicyKeeper:
    """See the module. All methods are called on the event loop's thread, or before there is one.

    Args:
        store: Remembers.
        owner: Organisation and device, as one word; empty: this device is not activated.
        objection: Why a policy must not be in force here; empty: it may.
        agent_version: Another version may understand what this one does not.
    """

    def __init__(
        self, store: Store, owner: Callable[[], str], objection: Callable[[ManagedPolicy], str], agent_version: str
    ) -> None:
        self._store = store
        self._owner = owner
        self._objection = objection
        self._agent_version = agent_version
        self._unproven = False
        self._in_force_changed: Callable[[], None] = lambda: None
        self._restart: Callable[[], None] | None = None
        with store.transaction() as tables:
            self._record = PolicyRecord.from_setting(tables.settings.get(POLICY_RECORD))
        if self._record.owner != owner():
            self._record = PolicyRecord()
        self._in_force = self._record.applied.read()

    # ------------------------------------------------------------ what others may know

    @property
    def in_force(self) -> ManagedPolicy:
        """What this process works by."""
        return self._in_force

    @property
    def etag(self) -> str:
        """Of what was given last; the control plane sends nothing while that is right."""
        return self._record.desired.etag

    @property
    def desired_version(self) -> str:
        """Of what was given last; empty: nothing is set."""
        return self._record.desired.version

    @property
    def applied_version(self) -> str:
        """Of what is in force and proven; empty: nothing is set."""
        return self._record.applied.version

    @property
    def refusal(self) -> str:
        """Why the desired policy is not in force; empty: it is, or is being tried."""
        return self._record.refusal

    def issues(self) -> tuple[HealthIssue, ...]:
        """The organisation believes in something that is not there."""
        if not self._record.refusal:
            return ()
        name = self._record.desired.version or "without settings"
        return (HealthIssue("policy_refused", f"the policy {name} is not in force: {self._record.refusal}"),)

    # ------------------------------------------------------------ the life of the service

    def begin(self) -> None:
        """The service starts: what is on trial is tried, unless that was tried before and did not come up."""
        record = self._record
        if record.trying and record.begun:
            self._refuse("the agent did not come up with it")
            return
        looked_at = record.trying or (record.refusal and record.refused_by == self._agent_version)
        if record.desired.etag != record.applied.etag and not looked_at:
            self._try()
        if self._record.trying:
            # Nothing is built yet, so that no restart is needed.
            self._write(replace(self._record, begun=True))
            self._in_force, self._unproven = self._record.desired.read(), True

    def attend(self, *, changed: Callable[[], None], restart: Callable[[], None]) -> None:
        """From now on `changed` is called when something else is in force, and `restart` when that is what it takes."""
        self._in_force_changed, self._restart = changed, restart

    def proven(self) -> None:
        """Protection works under what is in force."""
        if self._unproven and self._record.trying:
            log.info("policy_applied", version=self._record.desired.version)
            self._unproven = False
            self._write(replace(self._record, applied=self._record.desired, trying=False, begun=False))

    def end(self) -> None:
        """The service ends in good order: what is on trial may be tried again."""
        if self._record.trying:
            self._write(replace(self._record, begun=False))

    # ------------------------------------------------------------ what the link says

    def receive(self, untrusted: GivenPolicy) -> None:
        """Take what the control plane gave, and put it in force if it is good."""
        given = replace(untrusted, etag=untrusted.etag[:_MOST_CHARACTERS], version=untrusted.version[:_MOST_CHARACTERS])
        self._write(replace(self._record, owner=self._owner(), desired=given, refusal="", trying=False, begun=False))
        self._try()

    def settle(self) -> None:
        """The enrolment may have changed: another organisation's policies, or none, go no further."""
        if self._record != PolicyRecord() and self._record.owner != self._owner():
            log.info("policy_forgotten", version=self._record.applied.version)
            self._write(PolicyRecord())
            self._put_in_force(ManagedPolicy())

    # ------------------------------------------------------------ parts of these

    def _try(self) -> None:
        desired = self._record.desired
        try:
            policy = desired.read()
        except PolicyDocumentError as error:
            self._refuse(f"this agent does not understand it: {error}")
            return
        objection = self._objection(policy)
        if objection:
            self._refuse(objection)
        elif needs_restart(self._in_force.document, policy.document):
            self._write(replace(self._record, refusal="", trying=True, begun=False))
            log.info("policy_needs_restart", version=desired.version)
            if self._restart is not None:
                self._restart()
        elif self._unproven:
            self._write(replace(self._record, refusal="", trying=True, begun=True))
            self._put_in_force(policy)
        else:
            log.info("policy_applied", version=desired.version)
            self._write(replace(self._record, applied=desired, refusal="", trying=False, begun=False))
            self._put_in_force(policy)

    def _put_in_force(self, policy: ManagedPolicy) -> None:
        restart_needed = needs_restart(self._in_force.document, policy.document)
        if restart_needed and self._restart is not None:
            self._restart()
            return
        self._in_force = policy
        self._in_force_changed()

    def _refuse(self, why: str) -> None:
        log.warning("policy_refused", version=self._record.desired.version, reason=why)
        record = replace(self._record, refusal=why, refused_by=self._agent_version, trying=False, begun=False)
        self._write(record)

    def _write(self, record: PolicyRecord) -> None:
        self._record = record
        with self._store.transaction() as tables:
            tables.settings.put(POLICY_RECORD, record.to_setting())
