"""Puts the command groups together, and turns errors into one clear line and an exit code."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from ledger.crypto.keyfile import STANDARD_SCRYPT_N
from ledger.errors import ExitCode, LedgerError
from ledger.evidence.document import EvidenceCheckError
from wallet.cli import (
    audit,
    authority,
    chain,
    citizen,
    consumer,
    identity,
    provider,
    services,
)
from wallet.cli.output import Output
from wallet.cli.session import Options, Session, default_home
from wallet.client import errors as client
from wallet.errors import KeystoreError, PartyError, WalletError

_JSON: Final = "--json"

app = typer.Typer(
    name="quancheng",
    help="City data that moves only with the person's authorization, and never without a trace.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("up")(services.up)
app.add_typer(chain.app, name="chain")
app.add_typer(services.gateway, name="gateway")
app.add_typer(services.keyholder, name="keyholder")
app.add_typer(identity.app, name="identity")
app.add_typer(authority.app, name="authority")
app.add_typer(provider.app, name="provider")
app.add_typer(citizen.app, name="wallet")
app.add_typer(consumer.app, name="consumer")
app.add_typer(audit.app, name="audit")


@app.callback()
def options(
    context: typer.Context,
    *,
    home: Annotated[
        Path | None,
        typer.Option(envvar="QUANCHENG_HOME", help="The party's own directory [~/.quancheng]."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(envvar="QUANCHENG_DATA", help="Directory of `quancheng up`, for addresses."),
    ] = None,
    deployment: Annotated[
        Path | None,
        typer.Option(envvar="QUANCHENG_DEPLOYMENT", help="The deployment's file."),
    ] = None,
    gateway: Annotated[
        str, typer.Option(envvar="QUANCHENG_GATEWAY", help="Address of the gateway.")
    ] = "",
    identity_authority: Annotated[
        str,
        typer.Option("--identity", envvar="QUANCHENG_IDENTITY", help="Of the identity authority."),
    ] = "",
    node: Annotated[
        str,
        typer.Option(
            envvar="QUANCHENG_NODE", help="Of a node of one's own: everything is checked."
        ),
    ] = "",
    keyholder: Annotated[
        list[str] | None,
        typer.Option(envvar="QUANCHENG_KEYHOLDERS", help="Of a keyholder; may be repeated."),
    ] = None,
    finality: Annotated[
        str,
        typer.Option(
            envvar="QUANCHENG_FINALITY", help="When a block is final: depth:N, finalized."
        ),
    ] = "depth:0",
    fee: Annotated[
        str,
        typer.Option(
            envvar="QUANCHENG_FEE",
            help="What transactions offer: node, PRICE or MOST:PRIORITY, in wei per gas.",
        ),
    ] = "node",
    key: Annotated[
        str, typer.Option(envvar="QUANCHENG_KEY", help="The keystore's entry that signs.")
    ] = "account",
    password: Annotated[
        str,
        typer.Option(
            envvar="QUANCHENG_PASSWORD_FROM",
            help="Where the keystore's password comes from: prompt, fd:3, env:NAME.",
        ),
    ] = "prompt",  # noqa: S107 - where it comes from
    scrypt_n: Annotated[
        int, typer.Option(envvar="QUANCHENG_SCRYPT_N", help="Cost of opening new keystore entries.")
    ] = STANDARD_SCRYPT_N,
    machine: Annotated[
        bool, typer.Option(_JSON, help="One JSON document instead of text.")
    ] = False,
) -> None:
    """City data that moves only with the person's authorization, and never without a trace."""
    chosen = Options(
        home=home or default_home(),
        data=data,
        deployment=deployment,
        gateway=gateway,
        identity=identity_authority,
        node=node,
        keyholders=tuple(keyholder or ()),
        finality=finality,
        fee=fee,
        key=key,
        password=password,
        scrypt_n=scrypt_n,
        machine=machine,
    )
    context.obj = session = context.with_resource(Session(chosen))
    session.tell_trial()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    given = _json_first(list(sys.argv[1:] if arguments is None else arguments))
    try:
        app(given, prog_name="quancheng")
    except SystemExit as ending:
        # Typer ends every command so: done, not understood, or Ctrl-C.
        return ending.code if isinstance(ending.code, int) else ExitCode.DONE
    except (WalletError, LedgerError) as error:
        Output(machine=given[:1] == [_JSON]).error(str(error), described(error))
        return error.exit_code
    except BrokenPipeError:
        # Whoever read us has seen enough; keep Python from complaining when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    return ExitCode.DONE


def described(error: WalletError | LedgerError) -> dict[str, object]:
    """Return an error as the JSON document says it."""
    kind = type(error).__name__
    if isinstance(error, client.ClientError | KeystoreError | PartyError):
        kind = error.kind
    elif isinstance(error, LedgerError) and error.label:
        kind = error.label
    members: dict[str, object] = {
        "kind": kind.removesuffix("Error"),
        "message": str(error),
        "exit_code": int(error.exit_code),
    }
    match error:
        case client.DeniedError():
            members |= {"outcome": error.outcome, "sequence": error.recorded.sequence}
        case client.VerificationError():
            members |= {"check": error.check.value}
        case EvidenceCheckError():
            members |= {"check": error.check.value, "number": error.check.number}
        case client.RefusedError():
            members |= {"contract_error": error.error, "arguments": error.arguments}
        case client.ProblemError():
            members |= {"type": error.problem.type, "status": error.problem.status}
    return members


def _json_first(arguments: list[str]) -> list[str]:
    """Let `--json` stand anywhere before `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if _JSON not in arguments[:end]:
        return arguments
    rest = [text for place, text in enumerate(arguments) if text != _JSON or place > end]
    return [_JSON, *rest]
