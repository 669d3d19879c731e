from dataclasses import replace

import pytest

from controlplane.runtime.permissions import PERMISSIONS, Caller, authorise
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal, Role, Scope
from controlplane.runtime.refusal import Refusal
from wire.v1 import (
    account_pb2,
    billing_pb2,
    command_pb2,
    device_pb2,
    diagnostics_pb2,
    download_pb2,
    enrollment_pb2,
    fleet_pb2,
    incident_pb2,
    licensing_pb2,
    notice_pb2,
    policy_pb2,
    sandbox_pb2,
    subscription_pb2,
    webhook_pb2,
)

SERVED = (
    account_pb2,
    billing_pb2,
    command_pb2,
    device_pb2,
    diagnostics_pb2,
    download_pb2,
    enrollment_pb2,
    fleet_pb2,
    incident_pb2,
    licensing_pb2,
    notice_pb2,
    policy_pb2,
    sandbox_pb2,
    subscription_pb2,
    webhook_pb2,
)
DEVICE = DevicePrincipal("dev_1", "org_1", b"key")


def person(role: Role) -> PersonPrincipal:
    return PersonPrincipal("usr_1", "org_1", role, "tok_1")


def methods_of_the_protocol() -> set[str]:
    return {
        f"/{service.full_name}/{method.name}"
        for module in SERVED
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_every_method_of_the_protocol_is_in_the_table_and_nothing_else() -> None:
    assert set(PERMISSIONS) == methods_of_the_protocol()


def test_only_signing_in_and_activating_are_open_to_anyone() -> None:
    open_to_anyone = {name for name, permission in PERMISSIONS.items() if permission.caller is Caller.ANYONE}
    assert open_to_anyone == {
        "/buckler.v1.AccountService/SignIn",
        "/buckler.v1.EnrollmentService/Greet",
        "/buckler.v1.EnrollmentService/PrepareActivation",
        "/buckler.v1.EnrollmentService/Activate",
        "/buckler.v1.EnrollmentService/RenewCertificate",
    }


@pytest.mark.parametrize("method", sorted(PERMISSIONS))
@pytest.mark.parametrize("role", list(Role))
def test_a_person_passes_exactly_where_the_table_names_their_role(method: str, role: Role) -> None:
    permission = PERMISSIONS[method]
    allowed = permission.caller is Caller.ANYONE or role in permission.roles
    if allowed:
        authorise(method, person(role))
        return
    with pytest.raises(Refusal) as refused:
        authorise(method, person(role))
    expected = "UNAUTHENTICATED" if permission.caller is Caller.DEVICE else "ROLE_MISSING"
    assert refused.value.reason == expected


@pytest.mark.parametrize("method", sorted(PERMISSIONS))
def test_a_device_passes_only_where_devices_and_anyone_may(method: str) -> None:
    if PERMISSIONS[method].caller in {Caller.DEVICE, Caller.ANYONE}:
        authorise(method, DEVICE)
        return
    with pytest.raises(Refusal):
        authorise(method, DEVICE)


@pytest.mark.parametrize("method", sorted(PERMISSIONS))
def test_nobody_passes_only_where_anyone_may(method: str) -> None:
    if PERMISSIONS[method].caller is Caller.ANYONE:
        authorise(method, None)
        return
    with pytest.raises(Refusal) as refused:
        authorise(method, None)
    assert refused.value.reason == "UNAUTHENTICATED"


#: What people do about themselves; it touches nobody else.
ABOUT_ONESELF = {
    "SignOut",
    "WhoAmI",
    "ChangePassword",
    "EnrolSecondFactor",
    "ConfirmSecondFactor",
    "RemoveSecondFactor",
    "CreateToken",
    "ListTokens",
    "RevokeToken",
}


def test_a_viewer_may_look_but_change_nothing_of_others() -> None:
    viewer = {name for name, permission in PERMISSIONS.items() if Role.VIEWER in permission.roles}
    verbs = {name.rpartition("/")[2] for name in viewer} - ABOUT_ONESELF
    assert all(verb.startswith(("Get", "List", "Explain", "Check", "Classify", "Simulate")) for verb in verbs)


@pytest.mark.parametrize("method", sorted(PERMISSIONS))
@pytest.mark.parametrize("scope", list(Scope))
def test_a_token_passes_exactly_where_the_table_names_a_scope_of_it(method: str, scope: Scope) -> None:
    permission = PERMISSIONS[method]
    owner = replace(person(Role.OWNER), scopes=frozenset({scope}))
    if permission.caller is Caller.DEVICE:
        return
    if permission.caller is Caller.ANYONE or permission.scope in {None, scope}:
        authorise(method, owner)
        return
    with pytest.raises(Refusal) as refused:
        authorise(method, owner)
    assert refused.value.reason == "SCOPE_MISSING"


def test_what_only_looks_needs_no_scope_that_changes() -> None:
    for name, permission in PERMISSIONS.items():
        looks = name.rpartition("/")[2].startswith(("Get", "List", "Explain", "Check", "Classify", "Simulate"))
        if permission.scope is Scope.READ:
            assert looks, name


def test_a_refused_role_is_told_which_roles_may() -> None:
    with pytest.raises(Refusal) as refused:
        authorise("/buckler.v1.LicensingService/RevokeKey", person(Role.VIEWER))
    assert refused.value.facts["allowed_roles"] == "owner, admin"


def test_a_method_nobody_listed_is_refused_to_everybody() -> None:
    for principal in (None, DEVICE, person(Role.OWNER)):
        with pytest.raises(Refusal) as refused:
            authorise("/buckler.v1.FutureService/Anything", principal)
        assert refused.value.reason == "FORBIDDEN"
