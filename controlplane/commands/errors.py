"""How this capability says no."""

from controlplane.runtime.principal import Role
from controlplane.runtime.refusal import Kind, Refusal


def command_not_found() -> Refusal:
    """The same answer for ids that never existed and for other organisations' ids."""
    return Refusal(
        Kind.NOT_FOUND,
        "COMMAND_NOT_FOUND",
        "there is no such command in your organisation",
        "List the commands to find its id: bucklerctl command list",
    )


def campaign_not_found() -> Refusal:
    """As above."""
    return Refusal(
        Kind.NOT_FOUND,
        "CAMPAIGN_NOT_FOUND",
        "there is no such campaign in your organisation",
        "List the campaigns to find its id: bucklerctl command campaigns",
    )


def campaign_over(state: str) -> Refusal:
    """It cannot be steered any more."""
    return Refusal(
        Kind.PRECONDITION,
        "CAMPAIGN_OVER",
        f"this campaign is {state} already",
        "Begin another one, or cancel its commands one by one: bucklerctl command cancel",
    )


def kind_unknown(kind: str, known: list[str]) -> Refusal:
    """`kind` has been checked for harmlessness."""
    return Refusal(
        Kind.INVALID,
        "COMMAND_KIND_UNKNOWN",
        f"there is no command {kind!r}",
        f"Use one of: {', '.join(known)}",
        facts={"kind": kind},
    )


def kind_forbidden(kind: str, role: Role, allowed: frozenset[Role]) -> Refusal:
    """This role may ask for some kinds, not for this one."""
    roles = ", ".join(each.value for each in Role if each in allowed)
    return Refusal(
        Kind.FORBIDDEN,
        "ROLE_MISSING",
        f"the role {role.value} may not ask for {kind}",
        f"Ask somebody with one of these roles: {roles}",
        facts={"role": role.value, "allowed_roles": roles, "kind": kind},
    )


def commands_not_entitled(reason: str) -> Refusal:
    """What the device's subscription gives does not hold remote commands now."""
    return Refusal(
        Kind.PRECONDITION,
        "FEATURE_NOT_ENTITLED",
        f"this device's access does not include remote commands now ({reason})",
        "See `bucklerctl subscription show` for the way back; on the device itself every command still works",
        facts={"feature": "remote_commands", "access_reason": reason},
    )


def other_request() -> Refusal:
    """The idempotency key names another command."""
    return Refusal(
        Kind.PRECONDITION,
        "IDEMPOTENCY_MISMATCH",
        "this idempotency key was used for another request",
        "Use a new key for a new request",
    )


def no_devices() -> Refusal:
    """A campaign for nobody."""
    return Refusal(
        Kind.PRECONDITION,
        "CAMPAIGN_EMPTY",
        "there is no active device to give this command to",
        "Look at `bucklerctl device list`",
    )
