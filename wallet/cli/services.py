"""`quancheng gateway` and `quancheng keyholder`: the services' own commands, run as processes.

Nothing of the services is imported here; this process becomes the service. Their settings come from the
environment (QUANCHENG_GATEWAY_*, QUANCHENG_KEYHOLDER_*); addresses that were given here are passed on.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from wallet.cli.errors import InputError
from wallet.cli.session import Session, session_of

gateway = typer.Typer(help="The gateway.", no_args_is_help=True)
keyholder = typer.Typer(help="A keyholder.", no_args_is_help=True)


@gateway.command("serve")
def serve_gateway(context: typer.Context) -> None:
    """Run the gateway (`python -m gateway`) with the settings of the environment."""
    become(session_of(context), "gateway", ())


@keyholder.command("serve")
def serve_keyholder(context: typer.Context) -> None:
    """Run the keyholder (`python -m wallet.keyholder`) with the settings of the environment."""
    become(session_of(context), "wallet.keyholder", ("serve",))


@keyholder.command("rotate")
def rotate(
    context: typer.Context,
    *,
    epoch: Annotated[int | None, typer.Option(help="Number of the new epoch.")] = None,
    threshold: Annotated[int, typer.Option(help="How many keyholders make a key.")] = 2,
    members: Annotated[str, typer.Option(help="Their addresses, in order, by commas.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Directory for the packets to the others.")
    ] = None,
    take: Annotated[
        list[Path] | None, typer.Option(help="A packet from another one; may be repeated.")
    ] = None,
) -> None:
    """Draw this keyholder's seeds of a new epoch (--epoch, --members, --out); then take the others' (--take).

    What was encrypted before stays readable: a record says of which epoch its keys are.
    """
    session = session_of(context)
    if take:
        code = run(session, "wallet.keyholder", ("import", *map(str, take)))
    elif epoch is not None and members and out is not None:
        drawing = ("draw", "--epoch", str(epoch), "--threshold", str(threshold))
        code = run(session, "wallet.keyholder", (*drawing, "--members", members, "--out", str(out)))
    else:
        raise InputError("name --epoch, --members and --out to draw; or --take FILE to take")
    raise typer.Exit(code)


def become(session: Session, module: str, arguments: Sequence[str]) -> None:
    """Let this process become a service."""
    command = [sys.executable, "-m", module, *arguments]
    environment = _environment(session, module)
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own module


def run(session: Session, module: str, arguments: Sequence[str]) -> int:
    """Run one of a service's commands; return its exit status."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=_environment(session, module), check=False).returncode  # noqa: S603 - our own module


def _environment(session: Session, module: str) -> dict[str, str]:
    """Return the environment, with what was given here where it says nothing."""
    prefix = f"QUANCHENG_{module.rpartition('.')[2].upper()}_"
    options = session.options
    given = {
        "DEPLOYMENT": str(options.deployment) if options.deployment else "",
        "NODE": options.node,
        "GATEWAY": options.gateway,
        "PASSWORD": options.password if options.password != "prompt" else "",  # noqa: S105
    }
    known = {prefix + name: value for name, value in given.items() if value}
    return known | dict(os.environ)
