"""`buckler-server init`: make an installation."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.accounts.model import OrganisationKind
from controlplane.catalog.model import Term
from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, read_secret, reporting, show
from controlplane.config import DATABASE_URL_VARIABLE, DataDir
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from controlplane.installation import Customer, FirstCustomer, Installed


def init(  # noqa: PLR0913 -- each is an option of the command
    data_dir: DataDirOption,
    *,
    hostname: Annotated[
        list[str] | None, typer.Option(help="A name or address that devices use for this server; repeatable.")
    ] = None,
    org: Annotated[str | None, typer.Option(help="First organisation.")] = None,
    org_kind: Annotated[
        OrganisationKind, typer.Option(help="What sort of customer it is.")
    ] = OrganisationKind.HOUSEHOLD,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Give it a clock of its own, which its administrators move forward.")
    ] = False,
    admin_email: Annotated[str | None, typer.Option(help="Its first owner, who signs in with bucklerctl.")] = None,
    admin_password_stdin: Annotated[
        bool, typer.Option("--admin-password-stdin", help="Read the password from stdin; else one is made up.")
    ] = False,
    plan: Annotated[str, typer.Option(help="Plan of the first subscription.")] = "home-3",
    term: Annotated[Term, typer.Option(help="Term of the first subscription.")] = Term.YEARLY,
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar=DATABASE_URL_VARIABLE, help="postgresql+asyncpg://…; left out: SQLite in the data directory."
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Create keys, certificates and database, load the sample catalog and, if wished, a first customer."""
    with reporting(output):
        from controlplane.installation import initialise

        customer = _first_customer(org, admin_email, stdin=admin_password_stdin, plan=plan, term=term)
        if sandbox and customer is None:
            raise _option_missing("--sandbox says what the first organisation is")
        if customer is not None:
            customer = replace(customer, org_kind=org_kind, sandbox=sandbox)
        installed = asyncio.run(
            initialise(
                DataDir(data_dir.absolute()),
                hostnames=hostname or [],
                database_url=database_url,
                first_customer=customer,
                randomness=SystemRandomness(),
            )
        )
        show(output, _answer(installed), hints=_hints(installed))


def _first_customer(
    org: str | None, admin_email: str | None, *, stdin: bool, plan: str, term: Term
) -> "FirstCustomer | None":
    if org is None and admin_email is None:
        return None
    if org is None or admin_email is None:
        raise _option_missing("--org and --admin-email go together")
    from controlplane.installation import FirstCustomer

    password = read_secret("password") if stdin else None
    return FirstCustomer(org, admin_email, password, plan, term)


def _option_missing(why: str) -> Refusal:
    return Refusal(Kind.INVALID, "OPTION_MISSING", why, "Give --org and --admin-email to create a first customer")


def _answer(installed: "Installed") -> dict[str, object]:
    answer: dict[str, object] = {
        "data_dir": str(installed.data_dir.path),
        "ca_file": str(installed.data_dir.authorities),
    }
    return answer if installed.customer is None else {**answer, **_customer(installed.customer)}


def _customer(customer: "Customer") -> dict[str, object]:
    return {
        "organisation": customer.org_name,
        "org_id": customer.org_id,
        "admin_email": customer.admin_email,
        "admin_password": customer.made_up_password,
        "subscription_id": customer.subscription_id,
        "plan": customer.plan_id,
        "plan_name": customer.plan_name,
        "seats": customer.seats,
        "activation_key": customer.activation_key,
    }


def _hints(installed: "Installed") -> tuple[str, ...]:
    shown_once = () if installed.customer is None else ("Key and password are shown this once: write them down.",)
    return (
        *shown_once,
        *(
            f"Move {installed.data_dir.keys / name} to a safe place: the server never needs it."
            for name in ("root_key.json", "authority_root_key.pem")
        ),
        f"Next: buckler-server serve --data-dir {installed.data_dir.path}",
        *_sign_in(installed),
        f"Then, on a device: buckler activate --server HOST:8443 --ca {installed.data_dir.authorities.name}",
    )


def _sign_in(installed: "Installed") -> tuple[str, ...]:
    """Only where there is somebody who can."""
    if installed.customer is None:
        return ()
    ca, email = installed.data_dir.authorities.name, installed.customer.admin_email
    return (f"Sign in: bucklerctl login --server HOST:8443 --ca {ca} --email {email}",)
