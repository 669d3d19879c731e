"""Is everything in the vault that was on its way there?"""

from agent.domain.counting import counted
from agent.support.check import Check
from agent.support.checkup import STILL_PROTECTED, CheckResult, Fixer, failing, passing, warning
from agent.support.surroundings import Surroundings


def look(around: Surroundings) -> CheckResult:
    """The vault against its journal, and what is about to be deleted."""
    device, place = around.device(), around.place
    if device.held and around.machine.look_at(place.vault) is None:
        return failing(
            "VAULT_MISSING",
            f"{counted(device.held, 'file')} should be in {place.vault}, which is not there",
            effect=f"{STILL_PROTECTED}; these files cannot be restored",
            fixer=Fixer.ADMINISTRATOR,
            next_step=f"bring {place.vault} back from a backup, with agent.db of the same time",
        )
    if device.unfinished:
        return warning(
            "CAPTURE_UNFINISHED",
            f"{counted(device.unfinished, 'file')} on the way to the vault",
            effect="out of their place, but not yet sealed",
            fixer=Fixer.ADMINISTRATOR,
            next_step="let the agent run with room on the disk: it finishes them by itself",
        )
    leaving = around.agent().text("quarantine_deletions")
    if leaving:
        return warning(
            "QUARANTINE_LEAVING",
            leaving,
            effect=STILL_PROTECTED,
            fixer=Fixer.USER,
            next_step="restore what you want to keep: buckler quarantine list, buckler quarantine restore ID",
        )
    return passing(f"{counted(device.held, 'file')} in the vault, none on its way")


CHECK = Check("quarantine", "the vault is whole", look)
