"""Which files of a pack do not compile: engines name a line, never a file, so each file is compiled by itself."""

from collections.abc import Callable, Sequence

from agent.scanner.engines.port import RuleCompileError, RuleProblem, RuleSource


def blame(
    sources: Sequence[RuleSource], problem: Callable[[RuleSource], RuleProblem | None], whole: Exception
) -> RuleCompileError:
    """Find the broken files of a pack that does not compile.

    Args:
        sources: The pack.
        problem: `Engine.problem`.
        whole: What the engine said about all files together.
    """
    found = tuple(filter(None, map(problem, sources)))
    together = f"the files compile one by one, but not together: {whole}"
    return RuleCompileError(found or (RuleProblem(sources[0], 0, together),))
