"""The policy of the organisation on a device: taken, tried, kept, refused, forgotten."""

from dataclasses import replace

import pytest

from agent.control.policy.keeper import POLICY_RECORD, PolicyKeeper
from agent.control.policy.managed_policy import GivenPolicy, ManagedPolicy, PolicyRecord, needs_restart, nothing_left
from tests.fakes.store import MemoryStore
from wire.policy_document import read_toml

BLOCK = '[realtime]\nmode = "block"'
ROOTS = '[realtime]\nroots = ["/srv"]'


def given(source: str, version: str = "baseline.1") -> GivenPolicy:
    return GivenPolicy(f"etag of {version}", version, read_toml(source).canonical().decode())


class Machine:
    """A device across restarts of its agent."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.owner = "org_1/dev_1"
        self.objection = ""
        self.version = "1.0"
        self.changes = 0
        self.restarts = 0
        self.keeper = self.start()

    def start(self) -> PolicyKeeper:
        self.keeper = PolicyKeeper(self.store, lambda: self.owner, lambda _: self.objection, self.version)
        self.keeper.begin()
        self.keeper.attend(changed=self._changed, restart=self._restart)
        return self.keeper

    def _changed(self) -> None:
        self.changes += 1

    def _restart(self) -> None:
        self.restarts += 1

    @property
    def versions(self) -> tuple[str, str]:
        return self.keeper.desired_version, self.keeper.applied_version


def test_what_can_change_at_once_does_and_outlives_a_restart() -> None:
    machine = Machine()
    machine.keeper.receive(given(BLOCK))
    assert (machine.versions, machine.changes, machine.restarts) == (("baseline.1", "baseline.1"), 1, 0)
    assert machine.start().in_force.get("realtime.mode") == "block"
    assert machine.keeper.etag == "etag of baseline.1"


def test_what_needs_a_restart_is_in_force_once_protection_was_proven() -> None:
    machine = Machine()
    machine.keeper.receive(given(ROOTS))
    assert (machine.versions, machine.restarts) == (("baseline.1", ""), 1)
    machine.keeper.end()
    assert machine.start().in_force.get("realtime.roots") == ("/srv",)
    assert machine.versions == ("baseline.1", "")
    machine.keeper.proven()
    assert machine.versions == ("baseline.1", "baseline.1")


def test_an_agent_that_did_not_come_up_starts_with_the_last_good_policy() -> None:
    machine = Machine()
    machine.keeper.receive(given(BLOCK))
    machine.keeper.receive(given(ROOTS, "baseline.2"))
    machine.start()
    # It ends without a word, as after a crash.
    assert machine.start().in_force.get("realtime.mode") == "block"
    assert (machine.versions, machine.keeper.refusal) == (
        ("baseline.2", "baseline.1"),
        "the agent did not come up with it",
    )
    assert machine.start().in_force.get("realtime.mode") == "block", "it is not tried again"
    machine.version = "1.1"
    assert machine.start().in_force.get("realtime.roots") == ("/srv",), "another version may manage"


def test_a_trial_that_ended_in_good_order_goes_on() -> None:
    machine = Machine()
    machine.keeper.receive(given(ROOTS))
    for _ in range(3):
        machine.keeper.end()
        assert machine.start().in_force.get("realtime.roots") == ("/srv",)
    assert machine.keeper.refusal == ""


def test_a_change_during_a_trial_does_not_end_it() -> None:
    machine = Machine()
    machine.keeper.receive(given(ROOTS))
    machine.start()
    machine.keeper.receive(given(f'{ROOTS}\nmode = "block"', "baseline.2"))
    assert machine.versions == ("baseline.2", "")
    assert machine.keeper.in_force.get("realtime.mode") == "block"
    machine.keeper.proven()
    assert machine.versions == ("baseline.2", "baseline.2")


@pytest.mark.parametrize(
    "document", ['{"exclusions":[],"settings":{"realtime.colour":"red"}}', "{", "\udcff", '{"settings":{}}']
)
def test_what_is_not_understood_is_refused_and_the_last_good_one_stays(document: str) -> None:
    machine = Machine()
    machine.keeper.receive(given(BLOCK))
    machine.keeper.receive(GivenPolicy("new", "baseline.2", document))
    assert machine.versions == ("baseline.2", "baseline.1")
    assert machine.keeper.in_force.get("realtime.mode") == "block"
    [issue] = machine.keeper.issues()
    assert (issue.code, "baseline.2" in issue.message) == ("policy_refused", True)
    assert machine.start().etag == "new", "it is not sent again"
    assert machine.keeper.in_force.get("realtime.mode") == "block"


def test_an_objection_keeps_a_policy_out_and_a_later_one_takes_its_place() -> None:
    machine = Machine()
    machine.objection = "nothing would be left"
    machine.keeper.receive(given(BLOCK))
    assert (machine.versions, machine.keeper.refusal) == (("baseline.1", ""), "nothing would be left")
    machine.objection = ""
    machine.keeper.receive(given(BLOCK, "baseline.2"))
    assert (machine.versions, machine.keeper.refusal) == (("baseline.2", "baseline.2"), "")
    machine.keeper.receive(GivenPolicy())
    assert machine.versions == ("", "")
    assert machine.keeper.in_force == ManagedPolicy()


def test_a_device_that_left_forgets_what_was_set() -> None:
    machine = Machine()
    machine.keeper.receive(given(BLOCK))
    machine.owner = ""
    machine.keeper.settle()
    assert (machine.versions, machine.keeper.in_force, machine.changes) == (("", ""), ManagedPolicy(), 2)
    machine.owner = "org_2/dev_9"
    assert machine.start().in_force == ManagedPolicy()


def test_a_record_that_cannot_be_read_is_as_if_nothing_was_given() -> None:
    record = PolicyRecord("org_1/dev_1", given(BLOCK), given(BLOCK))
    assert PolicyRecord.from_setting(record.to_setting()) == record
    machine = Machine()
    broken = replace(record, applied=replace(record.applied, document="{")).to_setting()
    for text in ("{", "[]", "null", '{"owner": 1}', broken):
        with machine.store.transaction() as tables:
            tables.settings.put(POLICY_RECORD, text)
        assert machine.start().etag == ""


def test_what_needs_a_restart() -> None:
    nothing, block, roots = read_toml(""), read_toml(BLOCK), read_toml(ROOTS)
    assert not needs_restart(nothing, block)
    assert needs_restart(block, roots)
    assert needs_restart(roots, nothing)


def test_exclusions_that_cover_every_folder_are_below_the_floor() -> None:
    whole = read_toml("[[exclusions]]\nkind='path'\nvalue='/srv'\nreason='x'")
    policy = ManagedPolicy("baseline.1", whole)
    assert nothing_left(("/srv", "/srv/data"), policy)
    assert not nothing_left(("/srv/data", "/home"), policy)
