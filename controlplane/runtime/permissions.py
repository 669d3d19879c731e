"""Who may call what: one table, pure, complete (tests compare it with the protocol)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal, Principal, Role, Scope
from controlplane.runtime.refusal import Kind, Refusal


class Caller(Enum):
    """What sort of caller a method is for."""

    ANYONE = "anyone"
    PERSON = "person"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Permission:
    """What a caller must be.

    Attributes:
        caller: The sort of caller.
        roles: Roles that may; only with `Caller.PERSON`.
        scope: What a token has to be good for; None: any token will do.
    """

    caller: Caller
    roles: frozenset[Role] = frozenset()
    scope: Scope | None = None


_ANYONE = Permission(Caller.ANYONE)
_DEVICE = Permission(Caller.DEVICE)
_EVERYBODY = frozenset(Role)
_ADMINS = frozenset({Role.OWNER, Role.ADMIN})
_HELPERS = frozenset({Role.OWNER, Role.ADMIN, Role.SUPPORT})
#: Everybody in the organisation may look.
_READ = Permission(Caller.PERSON, _EVERYBODY, Scope.READ)
#: About oneself.
_SELF = Permission(Caller.PERSON, _EVERYBODY)
_OWN_ACCOUNT = Permission(Caller.PERSON, _EVERYBODY, Scope.ACCOUNTS)
#: People, and what they did. Who may change whom is decided by rank in `accounts.model`.
_PEOPLE = Permission(Caller.PERSON, _ADMINS, Scope.ACCOUNTS)
#: Devices, seats and keys: the daily work of an administrator.
_MANAGE = Permission(Caller.PERSON, _ADMINS, Scope.DEVICES)
#: Money and plan: whoever pays, and whom they made administrator.
_SUBSCRIBE = Permission(Caller.PERSON, _ADMINS, Scope.BILLING)
#: Support frees seats on a customer's word; it never issues keys or changes plans.
_ASSIST = Permission(Caller.PERSON, _HELPERS, Scope.DEVICES)
#: The policy decides, not the person: support may ask for a refund on a customer's word.
_ASSIST_PAYER = Permission(Caller.PERSON, _HELPERS, Scope.BILLING)

PERMISSIONS: Mapping[str, Permission] = {
    "/buckler.v1.AccountService/SignIn": _ANYONE,
    "/buckler.v1.AccountService/SignOut": _SELF,
    "/buckler.v1.AccountService/WhoAmI": _SELF,
    "/buckler.v1.AccountService/ChangePassword": _OWN_ACCOUNT,
    "/buckler.v1.AccountService/EnrolSecondFactor": _OWN_ACCOUNT,
    "/buckler.v1.AccountService/ConfirmSecondFactor": _OWN_ACCOUNT,
    "/buckler.v1.AccountService/RemoveSecondFactor": _OWN_ACCOUNT,
    "/buckler.v1.AccountService/ListPeople": _PEOPLE,
    "/buckler.v1.AccountService/AddPerson": _PEOPLE,
    "/buckler.v1.AccountService/ChangeRole": _PEOPLE,
    "/buckler.v1.AccountService/RemovePerson": _PEOPLE,
    "/buckler.v1.AccountService/ResetPerson": _PEOPLE,
    "/buckler.v1.AccountService/CreateToken": _OWN_ACCOUNT,
    "/buckler.v1.AccountService/ListTokens": _OWN_ACCOUNT,
    "/buckler.v1.AccountService/RevokeToken": _OWN_ACCOUNT,
    "/buckler.v1.AccountService/ListAudit": _PEOPLE,
    "/buckler.v1.EnrollmentService/Greet": _ANYONE,
    "/buckler.v1.EnrollmentService/PrepareActivation": _ANYONE,
    "/buckler.v1.EnrollmentService/Activate": _ANYONE,
    "/buckler.v1.EnrollmentService/RenewCertificate": _ANYONE,
    "/buckler.v1.DeviceService/CheckIn": _DEVICE,
    "/buckler.v1.DeviceService/Connect": _DEVICE,
    "/buckler.v1.DeviceService/ReportEvents": _DEVICE,
    "/buckler.v1.DeviceService/RefreshEntitlement": _DEVICE,
    "/buckler.v1.DeviceService/RotateCertificate": _DEVICE,
    "/buckler.v1.DeviceService/UploadDiagnostics": _DEVICE,
    "/buckler.v1.DeviceService/Deactivate": _DEVICE,
    "/buckler.v1.SubscriptionService/GetSubscription": _READ,
    "/buckler.v1.SubscriptionService/Renew": _SUBSCRIBE,
    "/buckler.v1.SubscriptionService/Preview": _SUBSCRIBE,
    "/buckler.v1.SubscriptionService/ApplyQuote": _SUBSCRIBE,
    "/buckler.v1.SubscriptionService/Undo": _SUBSCRIBE,
    "/buckler.v1.SubscriptionService/Cancel": _SUBSCRIBE,
    "/buckler.v1.SubscriptionService/SetAutoRenew": _SUBSCRIBE,
    "/buckler.v1.SubscriptionService/Simulate": _READ,
    "/buckler.v1.SubscriptionService/ListConsents": _READ,
    "/buckler.v1.NoticeService/ListNotices": _READ,
    "/buckler.v1.NoticeService/GetNotice": _READ,
    "/buckler.v1.LicensingService/ListSeats": _READ,
    "/buckler.v1.LicensingService/ReleaseSeat": _ASSIST,
    "/buckler.v1.LicensingService/TransferSeat": _ASSIST,
    "/buckler.v1.LicensingService/PinSeat": _MANAGE,
    "/buckler.v1.LicensingService/ListSeatChanges": _READ,
    "/buckler.v1.LicensingService/IssueKey": _MANAGE,
    "/buckler.v1.LicensingService/ListKeys": _MANAGE,
    "/buckler.v1.LicensingService/RevokeKey": _MANAGE,
    "/buckler.v1.LicensingService/ReissueKey": _MANAGE,
    "/buckler.v1.LicensingService/ExportLicence": _MANAGE,
    "/buckler.v1.FleetService/GetFleetStatus": _READ,
    "/buckler.v1.FleetService/ListDevices": _READ,
    "/buckler.v1.FleetService/GetDevice": _READ,
    "/buckler.v1.FleetService/RenameDevice": _MANAGE,
    "/buckler.v1.FleetService/ReleaseHold": _MANAGE,
    "/buckler.v1.FleetService/RevokeDevice": _MANAGE,
    "/buckler.v1.FleetService/GetFleetSettings": _READ,
    "/buckler.v1.FleetService/SetFleetSettings": _MANAGE,
    "/buckler.v1.FleetService/ListDetections": _READ,
    "/buckler.v1.FleetService/GetDetection": _READ,
    "/buckler.v1.IncidentService/ListIncidents": _READ,
    "/buckler.v1.IncidentService/GetIncident": _READ,
    "/buckler.v1.IncidentService/SetIncidentStatus": _ASSIST,
    "/buckler.v1.WebhookService/ListWebhooks": _MANAGE,
    "/buckler.v1.WebhookService/AddWebhook": _MANAGE,
    "/buckler.v1.WebhookService/RemoveWebhook": _MANAGE,
    "/buckler.v1.WebhookService/ListDeadDeliveries": _MANAGE,
    "/buckler.v1.WebhookService/RetryDelivery": _MANAGE,
    # Which role may ask for which kind is in `commands.kinds`.
    "/buckler.v1.CommandService/RequestCommand": _ASSIST,
    "/buckler.v1.CommandService/GetCommand": _READ,
    "/buckler.v1.CommandService/ListCommands": _READ,
    "/buckler.v1.CommandService/CancelCommand": _ASSIST,
    "/buckler.v1.CommandService/RequestCampaign": _MANAGE,
    "/buckler.v1.CommandService/GetCampaign": _READ,
    "/buckler.v1.CommandService/ListCampaigns": _READ,
    "/buckler.v1.CommandService/SteerCampaign": _MANAGE,
    "/buckler.v1.PolicyService/ListPolicies": _READ,
    "/buckler.v1.PolicyService/GetPolicy": _READ,
    "/buckler.v1.PolicyService/ApplyPolicy": _MANAGE,
    "/buckler.v1.PolicyService/AssignPolicy": _MANAGE,
    "/buckler.v1.PolicyService/RemovePolicy": _MANAGE,
    "/buckler.v1.PolicyService/GetRollout": _READ,
    "/buckler.v1.PolicyService/SteerRollout": _MANAGE,
    "/buckler.v1.PolicyService/GetDevicePolicy": _READ,
    "/buckler.v1.PolicyService/SetDeviceLabels": _MANAGE,
    "/buckler.v1.DiagnosticsService/ListBundles": _ASSIST,
    "/buckler.v1.DiagnosticsService/ReadBundle": _ASSIST,
    "/buckler.v1.BillingService/ListInvoices": _READ,
    "/buckler.v1.BillingService/GetInvoice": _READ,
    "/buckler.v1.BillingService/ExplainInvoice": _READ,
    "/buckler.v1.BillingService/PayInvoice": _SUBSCRIBE,
    "/buckler.v1.BillingService/ListPayments": _READ,
    "/buckler.v1.BillingService/ListPaymentMethods": _READ,
    "/buckler.v1.BillingService/AddPaymentMethod": _SUBSCRIBE,
    "/buckler.v1.BillingService/RemovePaymentMethod": _SUBSCRIBE,
    "/buckler.v1.BillingService/CheckRefund": _READ,
    "/buckler.v1.BillingService/RequestRefund": _ASSIST_PAYER,
    "/buckler.v1.BillingService/ListRefunds": _READ,
    "/buckler.v1.BillingService/ClassifyCharge": _READ,
    "/buckler.v1.DownloadService/ListDownloads": _READ,
    "/buckler.v1.DownloadService/GetDownload": _READ,
    "/buckler.v1.SandboxService/GetSandbox": _READ,
    "/buckler.v1.SandboxService/AdvanceClock": _MANAGE,
}


def authorise(method: str, principal: Principal | None) -> None:
    """Refuse a caller that may not; a method that is not listed is refused to everybody.

    Args:
        method: Full gRPC name, e.g. `/buckler.v1.FleetService/GetDevice`.
        principal: Who is calling; None: nobody in particular.

    Raises:
        Refusal: UNAUTHENTICATED, FORBIDDEN, ROLE_MISSING or SCOPE_MISSING.
    """
    permission = PERMISSIONS.get(method)
    if permission is None:
        raise Refusal(Kind.FORBIDDEN, "FORBIDDEN", "nobody may call this method", "Update the client")
    if permission.caller is Caller.ANYONE:
        return
    if permission.caller is Caller.DEVICE:
        if not isinstance(principal, DevicePrincipal):
            raise Refusal(
                Kind.UNAUTHENTICATED, "UNAUTHENTICATED", "this call is for activated devices", "Activate the device"
            )
        return
    if not isinstance(principal, PersonPrincipal):
        raise Refusal(
            Kind.UNAUTHENTICATED, "UNAUTHENTICATED", "this call needs a signed-in person", "Sign in: bucklerctl login"
        )
    _check_person(method, permission, principal)


def _check_person(method: str, permission: Permission, person: PersonPrincipal) -> None:
    if person.role not in permission.roles:
        allowed = ", ".join(role.value for role in Role if role in permission.roles)
        raise Refusal(
            Kind.FORBIDDEN,
            "ROLE_MISSING",
            f"the role {person.role.value} may not do this",
            f"Ask somebody with one of these roles: {allowed}",
            facts={"role": person.role.value, "allowed_roles": allowed, "method": method},
        )
    scope = permission.scope
    if person.scopes is not None and scope is not None and scope not in person.scopes:
        raise Refusal(
            Kind.FORBIDDEN,
            "SCOPE_MISSING",
            f"this token is not good for this: it lacks the scope {scope.value}",
            f"Make one that is: bucklerctl token create NAME --scope {scope.value}",
            facts={"scope": scope.value, "method": method},
        )
