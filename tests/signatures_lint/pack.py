"""The rules of a folder with all that the checks look at."""

import base64
import io
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yara

from agent.scanner.engines.port import EXTERNAL_VARIABLES, Matcher
from agent.scanner.engines.yara import YaraEngine
from agent.scanner.packs.rulepack import load_rules
from agent.scanner.routing.analysis import AnalysedRule, RuleText, analyse

OVERLAPS = "overlaps.toml"
KINDS = ("positive", "negative")
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class LintedRule:
    """One rule that is not private.

    Attributes:
        path: Its file.
        meta: Its metadata.
        analysed: As the scanner understands it.
    """

    path: Path
    meta: Mapping[str, str]
    analysed: AnalysedRule

    @property
    def name(self) -> str:
        """Its identifier."""
        return self.analysed.rule.name

    @property
    def is_test(self) -> bool:
        """It finds a test file of the industry."""
        return self.meta.get("category") == "test"

    def fixture(self, kind: str) -> bytes | None:
        """Content of one of its fixtures; None: there is none."""
        path = self.path.parent / "fixtures" / f"{self.name}.{kind}.b85"
        return decoded(path) if path.is_file() else None


@dataclass(frozen=True)
class Pack:
    """A folder of rules, with one folder for each topic."""

    root: Path
    rules: tuple[LintedRule, ...]
    warnings: tuple[str, ...]

    @classmethod
    def read(cls, root: Path) -> "Pack":
        """Read and compile it."""
        rules: list[LintedRule] = []
        warnings: list[str] = []
        for path in sorted(root.glob("*/*.yar")):
            text = path.read_text(encoding="utf-8")
            compiled = yara.compile(source=text, externals=dict.fromkeys(EXTERNAL_VARIABLES, ""))
            warnings += [f"{path.parent.name}/{path.name}: {warning}" for warning in compiled.warnings]
            metas = {rule.identifier: rule.meta for rule in compiled if not rule.is_private}
            (namespace,) = analyse([RuleText(path.stem, text)])
            rules += [LintedRule(path, metas[a.rule.name], a) for a in namespace.rules if a.rule.name in metas]
        return cls(root, tuple(rules), tuple(warnings))

    @cached_property
    def matcher(self) -> Matcher:
        """All of it, compiled."""
        image = io.BytesIO()
        YaraEngine().compile(load_rules([self.root]).sources, image)
        image.seek(0)
        return YaraEngine().load(image)

    @cached_property
    def overlaps(self) -> Mapping[str, list[str]]:
        """Rules that may find something in the positive fixture of another rule."""
        path = self.root / OVERLAPS
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def matches(self, data: bytes) -> set[str]:
        """Names of the rules that find something."""
        return {match.rule for match in self.matcher.match(data, {}, _TIMEOUT_S).matches}

    def positives(self) -> Iterator[tuple[LintedRule, bytes]]:
        """Rules that have a positive fixture, with it."""
        for rule in self.rules:
            if (data := rule.fixture("positive")) is not None:
                yield rule, data


def decoded(path: Path) -> bytes:
    """Content of a fixture."""
    return base64.b85decode("".join(path.read_text(encoding="ascii").split()))
