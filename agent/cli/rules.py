"""`buckler rules`: what is in a rule file, folder, archive or bundle, and what of it does not compile."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_lines
from agent.domain.errors import ExitStatus

if TYPE_CHECKING:
    from agent.scanner.packs.rule_listing import Listing
    from agent.scanner.packs.rulepack import RulePack

rules_app = typer.Typer(help="Check rules of your own before scanning with them.", no_args_is_help=True)


@rules_app.command()
def check(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|DIR|ZIP…", help="Rules, as for `scan --rules`.")],
    engine: Annotated[str, typer.Option("--engine", metavar="NAME", help="Compile with yara or boreal.")] = "yara",
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> int:
    """Compile rules, and say which do not compile. Nothing is scanned and nothing is kept."""
    from agent.scanner.engines.registry import engine_named
    from agent.scanner.packs.rule_listing import list_rules
    from agent.scanner.packs.rulepack import load_rules

    pack = load_rules(paths)
    listing = list_rules(pack.sources, engine_named(engine))
    if common_options(context, output, data_dir, config).as_json:
        _say_records(pack, listing)
    else:
        _say_summary(pack, listing)
    return int(ExitStatus.BAD_INPUT if listing.left_out else ExitStatus.OK)


def _say_records(pack: "RulePack", listing: "Listing") -> None:
    import json

    records: list[dict[str, object]] = [{"type": "rule"} | asdict(rule) for rule in listing.rules]
    records += [{"type": "left_out"} | asdict(item) for item in listing.left_out]
    records += [{"type": "whole_file", "namespace": namespace} for namespace in listing.whole_files]
    records.append({"type": "summary"} | _counts(pack, listing))
    say_lines("\n".join(json.dumps(record) for record in records))


def _say_summary(pack: "RulePack", listing: "Listing") -> None:
    for item in listing.left_out:
        say(f"does not compile: {item}")
    for namespace in listing.whole_files:
        say(f"compiles, but its rules cannot be told apart, so they run on every file: {namespace}")
    for name, value in _counts(pack, listing).items():
        say(f"{name} : {value}")


def _counts(pack: "RulePack", listing: "Listing") -> dict[str, object]:
    return {
        "files": len(pack.sources),
        "rules": len(listing.rules),
        "left_out": len(listing.left_out),
        "version": pack.version,
    }
