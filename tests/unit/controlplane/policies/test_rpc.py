import pytest

from controlplane.cli.ctl.policies import changes as policy_changes
from controlplane.policies.model import AT_ONCE, Assignment, Selector
from controlplane.policies.rpc import read_assignment, read_document, read_labels, read_name, read_stages
from controlplane.runtime.refusal import Refusal
from wire.v1.policy_pb2 import PolicyAssignment, PolicySelector, RolloutStage

MONTH_AND_MORE_S = 31 * 24 * 3600


@pytest.mark.parametrize("name", ["", "Base", "base line", "-base", "a" * 41, "base\n"])
def test_a_name_is_one_plain_word(name: str) -> None:
    with pytest.raises(Refusal):
        read_name(name)
    assert read_name("base-line_2") == "base-line_2"


@pytest.mark.parametrize("label", ["", "Server", "site=", "=berlin", "a=b=c", "a b", "server\n"])
def test_a_label_is_a_word_or_a_name_and_a_value(label: str) -> None:
    with pytest.raises(Refusal):
        read_labels("add", [label])
    assert read_labels("add", ["server", "site=Berlin.2"]) == {"server", "site=Berlin.2"}


def test_a_document_that_means_nothing_is_refused_with_its_key() -> None:
    with pytest.raises(Refusal) as refused:
        read_document('[schedule]\n"q\\u0007" = 1')
    assert (refused.value.reason, refused.value.facts["key"]) == (
        "POLICY_INVALID",
        "schedule.q\N{REPLACEMENT CHARACTER}",
    )


@pytest.mark.parametrize(
    "selector",
    [
        PolicySelector(),
        PolicySelector(everyone=True, device_id="dev_1"),
        PolicySelector(everyone=True, labels=["a"]),
        PolicySelector(labels=["a"], device_id="dev_1"),
    ],
)
def test_a_selector_means_one_thing(selector: PolicySelector) -> None:
    with pytest.raises(Refusal):
        read_assignment(PolicyAssignment(selectors=[selector]))


def test_an_assignment_is_read_without_repetitions() -> None:
    twice = [PolicySelector(labels=["b", "a"]), PolicySelector(labels=["a", "b"]), PolicySelector(everyone=True)]
    assert read_assignment(PolicyAssignment(selectors=twice, priority=-3)) == Assignment(
        (Selector(), Selector(labels=frozenset({"a", "b"}))), -3
    )
    with pytest.raises(Refusal):
        read_assignment(PolicyAssignment(priority=1_001))


@pytest.mark.parametrize(
    "stages",
    [
        [(50, 0)],
        [(0, 5), (100, 0)],
        [(50, 5), (50, 5), (100, 0)],
        [(60, 5), (50, 5), (100, 0)],
        [(5, MONTH_AND_MORE_S), (100, 0)],
        [(number, 0) for number in range(90, 101)],
    ],
)
def test_stages_rise_to_everyone(stages: list[tuple[int, int]]) -> None:
    with pytest.raises(Refusal):
        read_stages([RolloutStage(percent=percent, soak_s=soak_s) for percent, soak_s in stages])
    assert read_stages([]) == AT_ONCE


@pytest.mark.parametrize("text", ["5:soon", "x", "5:1h,,100", "1000", "-5:1h,100", "5:"])
def test_stages_are_written_as_shares_and_spans(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        policy_changes._stages(text)
    assert refused.value.reason == "STAGES_INVALID"
    written = policy_changes._stages("5%:90m, 25:2d,100")
    assert [(stage.percent, stage.soak_s) for stage in written] == [(5, 5_400), (25, 172_800), (100, 0)]
