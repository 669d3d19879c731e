"""How much of the machine the agent may use, and what happens when it uses more; a pure decision.

Warn, then throttle, then restart the part that holds the most, with pauses that grow: a restart that does not help must
not become a loop. Each order comes with a sentence that names the files, because "it uses too much" helps nobody.

Nothing here makes a file clean: a throttled scan comes later, a restarted one is `incomplete`.
"""

from dataclasses import dataclass, replace
from enum import Enum

#: Pause after the first restart, in seconds; doubles up to `LONGEST_PAUSE_S`.
FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 1_800.0
_MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """What is enough. Peers are in docs/configuration.md.

    Attributes:
        cpu_percent: Of all cores together, agent and workers.
        memory_mb: Agent and workers, what they share counted once, MiB; while files are scanned.
        memory_at_rest_mb: The same when no file is; workers that hold much are then replaced, each once at most.
        worth_restarting_mb: A worker that holds less gives back too little to be restarted for it, MiB.
        warn_after_s: Over a limit for so long: it is told.
        throttle_after_s: For so long: one file at a time, with pauses.
        restart_after_s: Over a memory limit for so long: the largest worker is restarted.
        calm_after_s: Under all limits for so long: back to normal.
        forget_after_s: And for so long: restarts are forgotten.
    """

    cpu_percent: float = 50.0
    memory_mb: float = 1_024.0
    memory_at_rest_mb: float = 300.0
    worth_restarting_mb: float = 100.0
    warn_after_s: float = 15.0
    throttle_after_s: float = 60.0
    restart_after_s: float = 90.0
    calm_after_s: float = 60.0
    forget_after_s: float = 3_600.0


@dataclass(frozen=True, slots=True)
class WorkerUse:
    """One worker: memory of its own in MiB, and what it is scanning (empty: nothing)."""

    pid: int
    memory_mb: float
    scanning: str = ""


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """What is used at one moment.

    Attributes:
        cpu_percent: Of all cores together, since the moment before.
        memory_mb: Agent and workers, what they share counted once, MiB.
        workers: Each of them.
    """

    cpu_percent: float
    memory_mb: float
    workers: tuple[WorkerUse, ...] = ()

    @property
    def at_rest(self) -> bool:
        """No file is being scanned."""
        return not any(worker.scanning for worker in self.workers)


class Stage(Enum):
    """How far it has come."""

    NORMAL = "normal"
    WARNED = "warned"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class GovernorState:
    """What is remembered between two moments; instants in seconds of a clock that only grows.

    Attributes:
        stage: In force.
        reason: Why it is not `NORMAL`.
        over_since: All limits were not kept since; None: they are.
        memory_over_since: The same for memory alone.
        calm_since: They are kept since; None: they are not.
        restarts: Since they were forgotten last.
        rest_restarts: Those since a file was scanned last.
        no_restart_before: The pause after the last one.
    """

    stage: Stage = Stage.NORMAL
    reason: str = ""
    over_since: float | None = None
    memory_over_since: float | None = None
    calm_since: float | None = None
    restarts: int = 0
    rest_restarts: int = 0
    no_restart_before: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done now, and why: restart a worker, or nothing (None); how to scan is told by the stage."""

    restart_pid: int | None = None
    reason: str = ""


def govern(state: GovernorState, use: ResourceUse, limits: ResourceLimits, now_s: float) -> tuple[GovernorState, Order]:
    """Decide what the use at this moment means.

    Args:
        state: What was decided the moment before; `GovernorState()` at first.
        use: Measured now.
        limits: What is enough.
        now_s: Seconds of a clock that only grows.
    """
    if not use.at_rest:
        state = replace(state, rest_restarts=0)
    memory_limit = _memory_limit(state, use, limits)
    excess = _excesses(use, limits.cpu_percent, memory_limit)
    if not excess:
        return _calmer(state, limits, now_s), Order()
    over_since = _since(state.over_since, now_s)
    memory_over_since = _since(state.memory_over_since, now_s) if use.memory_mb > memory_limit else None
    state = replace(state, over_since=over_since, memory_over_since=memory_over_since, calm_since=None)
    why = f"{' and '.join(excess)}{_while_scanning(use)}"
    if now_s - over_since >= limits.throttle_after_s:
        state = replace(state, stage=Stage.THROTTLED, reason=why)
    elif now_s - over_since >= limits.warn_after_s and state.stage is Stage.NORMAL:
        state = replace(state, stage=Stage.WARNED, reason=why)
    return _restart_if_due(state, use, limits, why, now_s)


def pause_after(restarts: int, first_s: float = FIRST_PAUSE_S, longest_s: float = LONGEST_PAUSE_S) -> float:
    """Seconds before the next restart, after so many."""
    return min(longest_s, first_s * 2.0 ** min(max(restarts, 1) - 1, _MAX_DOUBLINGS))


def _calmer(state: GovernorState, limits: ResourceLimits, now_s: float) -> GovernorState:
    calm_since = _since(state.calm_since, now_s)
    state = replace(state, over_since=None, memory_over_since=None, calm_since=calm_since)
    if now_s - calm_since >= limits.calm_after_s:
        state = replace(state, stage=Stage.NORMAL, reason="")
    if now_s - calm_since >= limits.forget_after_s:
        state = replace(state, restarts=0)
    return state


def _restart_if_due(
    state: GovernorState, use: ResourceUse, limits: ResourceLimits, why: str, now_s: float
) -> tuple[GovernorState, Order]:
    since, largest = state.memory_over_since, _largest(use, limits)
    if since is None or now_s - since < limits.restart_after_s or now_s < state.no_restart_before or largest is None:
        return state, Order()
    restarts = state.restarts + 1
    state = replace(
        state,
        restarts=restarts,
        rest_restarts=state.rest_restarts + use.at_rest,
        no_restart_before=now_s + pause_after(restarts),
        memory_over_since=None,
    )
    return state, Order(largest.pid, f"scan worker {largest.pid} held {largest.memory_mb:.0f} MB: {why}")


def _largest(use: ResourceUse, limits: ResourceLimits) -> WorkerUse | None:
    """The worker that holds most; None: none is worth being restarted."""
    largest = max(use.workers, key=lambda worker: worker.memory_mb, default=None)
    return largest if largest is not None and largest.memory_mb >= limits.worth_restarting_mb else None


def _since(before: float | None, now_s: float) -> float:
    return now_s if before is None else before


def _memory_limit(state: GovernorState, use: ResourceUse, limits: ResourceLimits) -> float:
    """At rest the lower one, as long as something can be done about it: large rules are large at rest, too."""
    helped = _largest(use, limits) is None or state.rest_restarts >= len(use.workers)
    return limits.memory_mb if helped or not use.at_rest else min(limits.memory_at_rest_mb, limits.memory_mb)


def _excesses(use: ResourceUse, cpu_percent: float, memory_mb: float) -> tuple[str, ...]:
    """Each limit that is not kept, in words."""
    found: list[str] = []
    if use.cpu_percent > cpu_percent:
        found.append(f"{use.cpu_percent:.0f}% CPU (limit {cpu_percent:.0f}%)")
    if use.memory_mb > memory_mb:
        found.append(f"{use.memory_mb:.0f} MB memory (limit {memory_mb:.0f} MB)")
    return tuple(found)


def _while_scanning(use: ResourceUse) -> str:
    busy = [worker.scanning for worker in use.workers if worker.scanning]
    return f" while scanning {', '.join(busy)}" if busy else ""
