"""AccountService on the wire: validate, call one use case, translate."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from controlplane.accounts.audit import AuditEntry, AuditFilter, newest_entries
from controlplane.accounts.limits import MAX_NAME_CHARACTERS
from controlplane.accounts.model import Member, Token
from controlplane.accounts.people import PeopleDesk
from controlplane.accounts.second_factor import enrolment_uri, secret_text
from controlplane.accounts.service import AccountService
from controlplane.accounts.sign_in import Proof, SignIn
from controlplane.accounts.tokens import Tokens, TokenWish
from controlplane.runtime.fields import text
from controlplane.runtime.interceptors import Context
from controlplane.runtime.paging import page_token, read_page
from controlplane.runtime.principal import Scope, current_person
from controlplane.storage.database import Database
from controlplane.storage.types import to_microseconds
from wire.v1 import account_pb2
from wire.v1.account_pb2_grpc import AccountServiceServicer

_NEWEST: Final = (int, str)
_BY_EMAIL: Final = (str,)
MAX_ID_CHARACTERS: Final = 64
MAX_REASON_CHARACTERS: Final = 500
#: Of an address or an id.
_MAX_PERSON_CHARACTERS: Final = 254
#: More than any lifetime that is granted; fits a `timedelta`.
_MAX_SECONDS: Final = 10**9


@dataclass(frozen=True, slots=True)
class AccountDesks:
    """The use cases of accounts."""

    accounts: AccountService
    sign_in: SignIn
    tokens: Tokens
    people: PeopleDesk


class AccountRpc(AccountServiceServicer):
    """The servicer."""

    def __init__(self, database: Database, desks: AccountDesks) -> None:
        self._database = database
        self._accounts = desks.accounts
        self._sign_in = desks.sign_in
        self._tokens = desks.tokens
        self._people = desks.people

    # ------------------------------------------------------------ oneself

    async def SignIn(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.SignInRequest, _context: Context
    ) -> account_pb2.SignInResponse:
        """A token for a password."""
        token = await self._sign_in.sign_in(
            Proof(request.email, request.password, request.second_factor, request.token_name)
        )
        return account_pb2.SignInResponse(token=token.text, expires_at_us=to_microseconds(token.expires_at))

    async def SignOut(  # noqa: N802 -- the name is the protocol's
        self, _request: account_pb2.SignOutRequest, _context: Context
    ) -> account_pb2.SignOutResponse:
        """End the session of this call."""
        await self._tokens.sign_out(current_person())
        return account_pb2.SignOutResponse()

    async def WhoAmI(  # noqa: N802 -- the name is the protocol's
        self, _request: account_pb2.WhoAmIRequest, _context: Context
    ) -> account_pb2.WhoAmIResponse:
        """Who the token belongs to."""
        person = current_person()
        async with self._database.reading() as connection:
            member, organisation = await self._accounts.member(connection, org_id=person.org_id, user_id=person.user_id)
        return account_pb2.WhoAmIResponse(
            user_id=member.user_id,
            email=member.email,
            org_id=organisation.org_id,
            org_name=organisation.name,
            org_kind=organisation.kind.value,
            role=member.role.value,
            second_factor=member.second_factor,
            password_is_initial=member.password_is_initial,
            scopes=_scope_names(person.scopes),
        )

    async def ChangePassword(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.ChangePasswordRequest, _context: Context
    ) -> account_pb2.ChangePasswordResponse:
        """Another password; every other session ends."""
        ended = await self._sign_in.change_password(current_person(), request.password, request.new_password)
        return account_pb2.ChangePasswordResponse(sessions_ended=ended)

    async def EnrolSecondFactor(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.EnrolSecondFactorRequest, _context: Context
    ) -> account_pb2.EnrolSecondFactorResponse:
        """A secret for an authenticator app."""
        secret, email = await self._sign_in.enrol_second_factor(current_person(), request.password)
        return account_pb2.EnrolSecondFactorResponse(secret=secret_text(secret), uri=enrolment_uri(secret, email))

    async def ConfirmSecondFactor(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.ConfirmSecondFactorRequest, _context: Context
    ) -> account_pb2.ConfirmSecondFactorResponse:
        """From now on signing in takes a code."""
        codes = await self._sign_in.confirm_second_factor(current_person(), request.code)
        return account_pb2.ConfirmSecondFactorResponse(recovery_codes=codes)

    async def RemoveSecondFactor(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.RemoveSecondFactorRequest, _context: Context
    ) -> account_pb2.RemoveSecondFactorResponse:
        """Signing in takes no code any more."""
        await self._sign_in.remove_second_factor(current_person(), request.password, request.code)
        return account_pb2.RemoveSecondFactorResponse()

    # ------------------------------------------------------------ people

    async def ListPeople(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.ListPeopleRequest, _context: Context
    ) -> account_pb2.ListPeopleResponse:
        """By address."""
        page = read_page(request.page.page_size, request.page.page_token, _BY_EMAIL)
        async with self._database.reading() as connection:
            found = await self._people.people(connection, current_person().org_id, page)
        shown = found[: page.size]
        token = page_token((shown[-1].email,)) if len(found) > page.size else ""
        return account_pb2.ListPeopleResponse(people=map(_person, shown), next_page_token=token)

    async def AddPerson(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.AddPersonRequest, _context: Context
    ) -> account_pb2.AddPersonResponse:
        """Somebody new."""
        member, password = await self._people.add(
            current_person(), request.email, request.role, request.idempotency_key
        )
        return account_pb2.AddPersonResponse(person=_person(member), initial_password=password)

    async def ChangeRole(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.ChangeRoleRequest, _context: Context
    ) -> account_pb2.ChangeRoleResponse:
        """Another role for somebody."""
        member = await self._people.change_role(
            current_person(), _named(request.person), request.role, _reason(request.reason)
        )
        return account_pb2.ChangeRoleResponse(person=_person(member))

    async def RemovePerson(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.RemovePersonRequest, _context: Context
    ) -> account_pb2.RemovePersonResponse:
        """Somebody leaves."""
        await self._people.remove(current_person(), _named(request.person), _reason(request.reason))
        return account_pb2.RemovePersonResponse()

    async def ResetPerson(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.ResetPersonRequest, _context: Context
    ) -> account_pb2.ResetPersonResponse:
        """A way in for somebody who is locked out."""
        member, password = await self._people.reset(current_person(), _named(request.person), _reason(request.reason))
        return account_pb2.ResetPersonResponse(person=_person(member), initial_password=password)

    # ------------------------------------------------------------ tokens

    async def CreateToken(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.CreateTokenRequest, _context: Context
    ) -> account_pb2.CreateTokenResponse:
        """A token for a program."""
        seconds = max(0, min(request.lifetime_s, _MAX_SECONDS))
        name = text("name", request.name, limit=MAX_NAME_CHARACTERS, required=True)
        wish = TokenWish(name, tuple(request.scopes[: len(Scope) + 1]), timedelta(seconds=seconds))
        token, secret = await self._tokens.create(current_person(), wish, request.idempotency_key)
        return account_pb2.CreateTokenResponse(token=_token(token), secret=secret)

    async def ListTokens(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.ListTokensRequest, _context: Context
    ) -> account_pb2.ListTokensResponse:
        """Those that can still be used, the newest first."""
        page = read_page(request.page.page_size, request.page.page_token, _NEWEST)
        async with self._database.reading() as connection:
            found = await self._tokens.usable(connection, current_person(), page)
        shown = found[: page.size]
        last = shown[-1] if len(found) > page.size else None
        token = "" if last is None else page_token((to_microseconds(last.created_at), last.token_id))
        return account_pb2.ListTokensResponse(tokens=map(_token, shown), next_page_token=token)

    async def RevokeToken(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.RevokeTokenRequest, _context: Context
    ) -> account_pb2.RevokeTokenResponse:
        """Make a token worthless."""
        token_id = text("token_id", request.token_id, limit=MAX_ID_CHARACTERS, required=True)
        await self._tokens.revoke(current_person(), token_id)
        return account_pb2.RevokeTokenResponse()

    # ------------------------------------------------------------ the audit

    async def ListAudit(  # noqa: N802 -- the name is the protocol's
        self, request: account_pb2.ListAuditRequest, _context: Context
    ) -> account_pb2.ListAuditResponse:
        """The newest first."""
        page = read_page(request.page.page_size, request.page.page_token, _NEWEST)
        wanted = AuditFilter(
            subject=text("subject", request.subject, limit=MAX_ID_CHARACTERS),
            actor=text("actor", request.actor, limit=MAX_ID_CHARACTERS),
            action_prefix=text("action_prefix", request.action_prefix, limit=MAX_ID_CHARACTERS),
        )
        async with self._database.reading() as connection:
            found = await newest_entries(connection, current_person().org_id, wanted, page)
        shown = found[: page.size]
        last = shown[-1] if len(found) > page.size else None
        token = "" if last is None else page_token((to_microseconds(last.at), last.audit_id))
        return account_pb2.ListAuditResponse(entries=map(_entry, shown), next_page_token=token)


def _named(untrusted_person: str) -> str:
    return text("person", untrusted_person, limit=_MAX_PERSON_CHARACTERS, required=True)


def _reason(untrusted_reason: str) -> str:
    return text("reason", untrusted_reason, limit=MAX_REASON_CHARACTERS)


def _scope_names(scopes: frozenset[Scope] | None) -> list[str]:
    return [scope.value for scope in Scope if scopes is not None and scope in scopes]


def _person(member: Member) -> account_pb2.Person:
    seen = member.last_signed_in_at
    return account_pb2.Person(
        user_id=member.user_id,
        email=member.email,
        role=member.role.value,
        second_factor=member.second_factor,
        password_is_initial=member.password_is_initial,
        created_at_us=to_microseconds(member.created_at),
        last_signed_in_at_us=0 if seen is None else to_microseconds(seen),
    )


def _token(token: Token) -> account_pb2.Token:
    return account_pb2.Token(
        token_id=token.token_id,
        name=token.name,
        user_id=token.user_id,
        email=token.email,
        scopes=_scope_names(token.scopes),
        created_at_us=to_microseconds(token.created_at),
        expires_at_us=to_microseconds(token.expires_at),
        last_used_at_us=0 if token.last_used_at is None else to_microseconds(token.last_used_at),
        revoked_at_us=0 if token.revoked_at is None else to_microseconds(token.revoked_at),
    )


def _entry(entry: AuditEntry) -> account_pb2.AuditEntry:
    return account_pb2.AuditEntry(
        audit_id=entry.audit_id,
        at_us=to_microseconds(entry.at),
        actor=entry.actor,
        actor_email=entry.actor_email,
        action=entry.action,
        subject=entry.subject,
        details=entry.details,
        request_id=entry.request_id,
    )
