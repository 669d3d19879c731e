"""An organisation sets a policy: the real server and the real agent, over mutual TLS on loopback, in one process.

The agent is built whole and asked to check in; what would run in the background is not started.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.app import Agent, build_agent
from agent.config import AgentConfig, load_config
from agent.device import direct_actions, open_device
from agent.domain.errors import BucklerError
from agent.domain.policy import Mode
from agent.locations import Overrides
from agent.platform.services.service_notice import ServiceNotice
from agent.requests import activate_device, read_status
from tests.integration.controlplane.served import Served, served_control_plane
from wire.v1 import policy_pb2
from wire.v1.policy_pb2_grpc import PolicyServiceStub

EVERYONE = policy_pb2.PolicyAssignment(selectors=[policy_pb2.PolicySelector(everyone=True)])


@dataclass
class Office:
    """A served subscription and one activated device."""

    served: Served
    config: AgentConfig
    folder: Path
    metadata: tuple[tuple[str, str]]
    wishes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.policies = PolicyServiceStub(self.served.channel(self.served.tls))
        self.restarts: list[str] = []

    async def apply(self, document: str) -> policy_pb2.PolicyChange:
        self.wishes.append(f"wish-{len(self.wishes):04}")
        request = policy_pb2.ApplyPolicyRequest(
            name="baseline", document=document, assignment=EVERYONE, idempotency_key=self.wishes[-1]
        )
        return await self.policies.ApplyPolicy(request, metadata=self.metadata)

    async def remove(self) -> None:
        request = policy_pb2.RemovePolicyRequest(name="baseline", idempotency_key=f"gone-{len(self.wishes):04}")
        await self.policies.RemovePolicy(request, metadata=self.metadata)

    async def rollout(self) -> policy_pb2.PolicyRollout:
        return await self.policies.GetRollout(policy_pb2.GetRolloutRequest(name="baseline"), metadata=self.metadata)

    @contextmanager
    def agent(self) -> Iterator[Agent]:
        with open_device(self.config, begins=True) as device:
            agent = build_agent(device, ServiceNotice(), lambda _: None, lambda: self.restarts.append("restart"))
            try:
                yield agent
            finally:
                agent.pack.close()


async def status(agent: Agent) -> dict[str, str]:
    return {each.name: each.text() for each in await agent.local_api._status._status()}


@pytest.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    for name in [name for name in os.environ if name.startswith("BUCKLER_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "Documents"
    folder.mkdir()
    nothing = tmp_path / "agent.toml"
    nothing.write_text("[realtime]\nsource = 'watchdog'\n")
    rule = tmp_path / "one.yar"
    rule.write_text("rule nothing { condition: false }")
    config = load_config(Overrides(tmp_path / "device", nothing, (folder,), (rule,)))
    async with served_control_plane(tmp_path) as served:
        key, authorities = served.customer.activation_key, served.data_dir.authorities
        await activate_device(config, key, str(served.tls), authorities)
        yield Office(served, config, folder, await served.sign_in())


async def test_a_policy_reaches_a_device_and_stays_in_force(office: Office, tmp_path: Path) -> None:
    await _what_can_change_at_once_does(office)
    await office.remove()
    with office.agent() as agent:
        await agent.link.check_in()
        assert (await status(agent))["policy_version_applied"].startswith("local-")
        await agent.link.close()
    await _folders_change_with_a_restart_and_never_below_the_floor(office, tmp_path)


async def _what_can_change_at_once_does(office: Office) -> None:
    excluded = f"[[exclusions]]\nkind = 'path'\nvalue = '{office.folder}/build'\nreason = 'compilers write here'\n"
    await office.apply(f"[schedule]\nquick = 'daily 12:30'\n[realtime]\nmode = 'notify'\n{excluded}")
    with office.agent() as agent:
        await agent.link.check_in()
        said = await status(agent)
        assert (said["policy_version_desired"], said["policy_version_applied"]) == ("baseline.1", "baseline.1")
        assert said["real_time_protection_mode"].endswith("[managed]")
        assert said["next_quick_scan"].endswith("[managed]")
        assert [str(at) for at in agent.scheduled.settings.schedules.values()] == ["daily 12:30"]

        await agent.link.check_in()
        assert (await office.rollout()).applied == 1
        await agent.link.close()

        actions = direct_actions(agent.device, agent.device.book.set_mode)
        [exclusion] = await actions.exclusions()
        with pytest.raises(BucklerError) as kept:
            await actions.remove_exclusion(exclusion.id)
        with pytest.raises(BucklerError) as same:
            await actions.set_mode(Mode.BLOCK)
        assert (kept.value.code, same.value.code) == ("VALUE_MANAGED", "VALUE_MANAGED")
    assert office.restarts == []

    with office.agent() as again:
        said = await status(again)
        assert said["policy_version_applied"] == "baseline.1"
        assert [each.value for each in again.device.book.current().exclusions] == [f"{office.folder}/build"]
        assert again.scheduled.settings.schedules


async def _folders_change_with_a_restart_and_never_below_the_floor(office: Office, tmp_path: Path) -> None:
    more = tmp_path / "Projects"
    more.mkdir()
    roots = f"[realtime]\nroots = ['{more}', '{tmp_path}/missing']\n"
    await office.apply(roots)
    with office.agent() as agent:
        await agent.link.check_in()
        assert office.restarts == ["restart"]
        assert (await status(agent))["policy_version_applied"].startswith("local-")
        await agent.link.close()

    with office.agent() as agent:
        assert agent.device.config.realtime.roots == (str(more),)
        assert "policy_roots_missing" in (await status(agent))["health_issues"]
        assert (await status(agent))["policy_version_applied"].startswith("local-"), "not proven yet"
        agent.device.managed.keeper.proven()
        assert (await status(agent))["policy_version_applied"] == "baseline.2"

        await office.apply(f"{roots}[[exclusions]]\nkind = 'path'\nvalue = '{tmp_path}'\nreason = 'a mistake'\n")
        await agent.link.check_in()
        said = await status(agent)
        assert (said["policy_version_desired"], said["policy_version_applied"]) == ("baseline.3", "baseline.2")
        assert "policy_refused" in said["health_issues"]
        await agent.link.check_in()
        assert (await office.rollout()).refused == 1

        await office.remove()
        await agent.link.check_in()
        await agent.link.close()
    with office.agent() as agent:
        assert agent.device.config.realtime.roots == (str(office.folder),)
        agent.device.managed.keeper.proven()
    said = {each.name: each.text() for each in await read_status(office.config)}
    assert said["policy_settings"] == ""
