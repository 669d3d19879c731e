"""The two public rule sets that lie beside the repository on development machines."""

from pathlib import Path

import pytest

from agent.scanner.packs.rulepack import compile_pack, load_rules

#: Beside this checkout, or beside the main one for a worktree in a sibling folder.
_BESIDE = [Path(__file__).parents[depth] / "shared" / "corpus" for depth in (3, 4)]
CORPUS = next((folder for folder in _BESIDE if folder.is_dir()), _BESIDE[0])


@pytest.mark.corpus
@pytest.mark.timeout(300)
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no rule sets in {CORPUS}")
@pytest.mark.parametrize(
    ("name", "at_least"),
    [pytest.param("signature-base.zip", 5_000, marks=pytest.mark.slow), ("reversinglabs.zip", 1_000)],
)
def test_a_public_rule_set_compiles_whole(name: str, at_least: int) -> None:
    pack = compile_pack(load_rules([CORPUS / name]))
    try:
        assert pack.rule_count >= at_least
    finally:
        pack.close()
