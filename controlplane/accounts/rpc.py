"""AccountService on the wire."""

from controlplane.accounts.service import AccountService
from controlplane.runtime.interceptors import Context
from controlplane.runtime.principal import current_person
from controlplane.storage.database import Database
from controlplane.storage.types import to_microseconds
from wire.v1 import account_pb2
from wire.v1.account_pb2_grpc import AccountServiceServicer


class AccountRpc(AccountServiceServicer):
    """The servicer."""

    def __init__(self, database: Database, service: AccountService) -> None:
        self._database = database
        self._service = service

    async def SignIn(  # noqa: N802 -- the name is the protocol's
        self,
        request: account_pb2.SignInRequest,
        _context: Context,
    ) -> account_pb2.SignInResponse:
        """A token for a password."""
        token = await self._service.sign_in(
            email=request.email, password=request.password, token_name=request.token_name
        )
        return account_pb2.SignInResponse(token=token.text, expires_at_us=to_microseconds(token.expires_at))

    async def WhoAmI(  # noqa: N802 -- the name is the protocol's
        self,
        _request: account_pb2.WhoAmIRequest,
        _context: Context,
    ) -> account_pb2.WhoAmIResponse:
        """Who the token belongs to."""
        person = current_person()
        async with self._database.reading() as connection:
            member, organisation = await self._service.member(connection, org_id=person.org_id, user_id=person.user_id)
        return account_pb2.WhoAmIResponse(
            user_id=member.user_id,
            email=member.email,
            org_id=organisation.org_id,
            org_name=organisation.name,
            role=member.role.value,
        )
