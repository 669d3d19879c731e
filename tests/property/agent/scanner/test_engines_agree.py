"""Both engines find the same: generated packs against generated files.

Left out is what they are known to see differently, which `tests/integration/scanner/test_engines_agree.py` pins: fields
of modules that have no value, several global rules in a file, and sets of rules counted across files.
"""

from random import Random

import boreal
import yara
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st

from tests.property.agent.scanner.routing.generated_packs import DEFINED_LEAVES, EXTERNALS, content, pack, texts_of


@settings(max_examples=300, deadline=None)
@given(random=st.randoms(use_true_random=True))
def test_engines_find_the_same(random: Random) -> None:
    texts = texts_of(pack(random, namespaces=1, leaves=DEFINED_LEAVES, lone_globals=True))
    note("\n".join(texts.values()))
    try:
        rules = yara.compile(sources=texts, externals=dict(EXTERNALS))
    except yara.SyntaxError:
        assume(False)  # noqa: FBT003 -- hypothesis's own signature
    others = boreal.compile(sources=texts, externals=dict(EXTERNALS))
    for data in [content(random) for _ in range(12)]:
        note(repr(data))
        assert {match.rule for match in rules.match(data=data)} == {match.rule for match in others.match(data=data)}
