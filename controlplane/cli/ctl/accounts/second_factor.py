"""`bucklerctl second-factor`: signing in takes a code of an authenticator app, too."""

import typer

from controlplane.cli.ctl.accounts.secrets import read_secret
from controlplane.cli.ctl.output import ConfigDirOption, Output, OutputOption, reporting, say, say_fields, say_json

second_factor = typer.Typer(no_args_is_help=True, help="A code of an authenticator app, besides the password.")


@second_factor.command("enrol")
def enrol(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Get a secret for an app; asks for your password. Nothing changes until `confirm`."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import EnrolSecondFactorRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        session = load_session(config_dir)
        request = EnrolSecondFactorRequest(password=read_secret("password"))
        with connected(session) as connection:
            answer = connection.call(AccountServiceStub(connection.channel).EnrolSecondFactor, request)
        if output is Output.JSON:
            say_json({"secret": answer.secret, "uri": answer.uri})
            return
        say_fields({"secret": answer.secret, "uri": answer.uri})
        say()
        say("Enter the secret in your authenticator app, then: bucklerctl second-factor confirm")


@second_factor.command("confirm")
def confirm(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Turn it on: asks for the code that the app shows now; gives the recovery codes."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import ConfirmSecondFactorRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        session = load_session(config_dir)
        request = ConfirmSecondFactorRequest(code=read_secret("code"))
        with connected(session) as connection:
            answer = connection.call(AccountServiceStub(connection.channel).ConfirmSecondFactor, request)
        if output is Output.JSON:
            say_json({"recovery_codes": list(answer.recovery_codes)})
            return
        say("Signing in takes a code from now on. Should you lose the app, each of these signs you in once:")
        for code in answer.recovery_codes:
            say(f"  {code}")
        say("They are shown this once: write them down.")


@second_factor.command("remove")
def remove(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Turn it off: asks for your password, then for a code of the app or a recovery code."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import RemoveSecondFactorRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        session = load_session(config_dir)
        request = RemoveSecondFactorRequest(password=read_secret("password"), code=read_secret("code"))
        with connected(session) as connection:
            connection.call(AccountServiceStub(connection.channel).RemoveSecondFactor, request)
        if output is Output.JSON:
            say_json({"second_factor": False})
        else:
            say("Signing in takes only your password from now on.")
