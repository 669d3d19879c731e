"""Checks of what rules find: their own fixtures, plain and packed, and nothing in what only looks alike."""

import io
import tarfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator

from agent.scanner.limits import Limits
from agent.scanner.workers.worker import FileScan
from tests.signatures_lint.pack import KINDS, LintedRule, Pack


def has_both_fixtures(rule: LintedRule) -> Iterator[str]:
    """What it must find, and what it must leave alone."""
    for kind in KINDS:
        if rule.fixture(kind) is None:
            yield f"fixtures/{rule.name}.{kind}.b85 is missing"


def fixtures_have_rules(pack: Pack) -> Iterator[str]:
    """A fixture without a rule tests nothing."""
    known = {f"{rule.path.parent.name}/{rule.name}.{kind}.b85" for rule in pack.rules for kind in KINDS}
    for path in sorted(pack.root.glob("*/fixtures/*")):
        if f"{path.parts[-3]}/{path.name}" not in known:
            yield f"{path.parts[-3]}/fixtures/{path.name} belongs to no rule"


def positives_are_found(pack: Pack) -> Iterator[str]:
    """By their own rule, and by no other one but those that are told."""
    for rule, data in pack.positives():
        found = pack.matches(data)
        if rule.name not in found:
            yield f"{rule.name} misses its positive fixture"
        for other in sorted(found - {rule.name} - set(pack.overlaps.get(rule.name, ()))):
            yield f"{other} finds something in the positive fixture of {rule.name}"


def negatives_are_left_alone(pack: Pack) -> Iterator[str]:
    """By every rule; only what nearly is one test file may be the other."""
    tests = {rule.name for rule in pack.rules if rule.is_test}
    for rule in pack.rules:
        found = pack.matches(rule.fixture("negative") or b"")
        excused = tests - {rule.name} if rule.is_test else set()
        for other in sorted(found - excused):
            yield f"{other} finds something in the negative fixture of {rule.name}"


def positives_are_found_in_zip(pack: Pack) -> Iterator[str]:
    """As the scanner opens it."""
    yield from _missed_inside(pack, _zip)


def positives_are_found_in_tar_gz(pack: Pack) -> Iterator[str]:
    """As the scanner opens it."""
    yield from _missed_inside(pack, _tar_gz)


def the_pack_does_not_find_itself(pack: Pack) -> Iterator[str]:
    """A folder of rules on a device is no threat."""
    for path in sorted(pack.root.rglob("*")):
        if path.is_file() and (found := pack.matches(path.read_bytes())):
            yield f"{', '.join(sorted(found))} in {path.relative_to(pack.root)}"


def overlaps_are_real(pack: Pack) -> Iterator[str]:
    """What is excused must be so, or it hides a mistake later."""
    positives = {rule.name: data for rule, data in pack.positives()}
    for name, others in pack.overlaps.items():
        for other in sorted(set(others) - pack.matches(positives.get(name, b""))):
            yield f"{other} finds nothing in the positive fixture of {name}"


def _missed_inside(pack: Pack, packed: Callable[[dict[str, bytes]], bytes]) -> Iterator[str]:
    """All positives in one container: one scan of many members costs a fraction of many scans."""
    positives = {rule.name: data for rule, data in pack.positives()}
    scan = FileScan(pack.matcher, Limits(), time.monotonic_ns)
    answer = scan.run(packed(positives), "/positives")
    found = defaultdict(set)
    for finding in answer.findings:
        # A fixture may be a container itself, and the gzip has a member of its own.
        found[next((part for part in finding.member_path if part in positives), "")].add(finding.rule)
    for name in positives:
        if name not in found[name]:
            yield f"{name} misses its positive fixture in {packed.__name__.strip('_')}"
    yield from (f"incomplete: {incomplete.reason}" for incomplete in answer.incomplete)


def _zip(contents: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return out.getvalue()


def _tar_gz(contents: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()
