"""`quancheng up`, `quancheng gateway` and `quancheng keyholder`: services as processes.

Nothing of the services is imported here; this process becomes the service, runs one of its commands, or
(`up`) watches all of them. Their settings come from the environment (QUANCHENG_GATEWAY_*,
QUANCHENG_KEYHOLDER_*); what was given here stands in for those that are not set there.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Annotated, Final

import msgspec
import typer

from ledger.chain.deploy import DEFAULT_RECOVERY_DELAY
from ledger.crypto.keyfile import MIN_SCRYPT_N
from wallet.cli.session import Session, session_of
from wallet.errors import InputError, PartyError
from wallet.keystore import Keystore
from wallet.passwords import Descriptor, read_password
from wallet.supervisor import Layout, Ports, Supervisor, SupervisorSettings, ended_by_signals
from wallet.supervisor.processes import run_command
from wallet.supervisor.services import ACCOUNT, Services

gateway = typer.Typer(help="The gateway.", no_args_is_help=True)
keyholder = typer.Typer(help="A keyholder; --home is its directory.", no_args_is_help=True)

_KEYHOLDER: Final = "wallet.keyholder"
_SETTINGS: Final = {
    "gateway": {
        "deployment": "DEPLOYMENT",
        "node": "NODE_URL",
        "keyholders": "KEYHOLDERS",
        "password": "RECORDER_PASSWORD",
    },
    _KEYHOLDER: {
        "home": "HOME",
        "deployment": "DEPLOYMENT",
        "node": "NODE",
        "password": "PASSWORD",
        "scrypt_n": "SCRYPT_N",
    },
    "wallet.identity": {
        "home": "HOME",
        "deployment": "DEPLOYMENT",
        "node": "NODE",
        "gateway": "GATEWAY",
        "password": "PASSWORD",
        "scrypt_n": "SCRYPT_N",
    },
}
"""How each service calls what may be given before the command."""


def up(
    context: typer.Context,
    *,
    directory: Annotated[
        Path | None, typer.Argument(help="Directory of everything [--data, or ./quancheng-data].")
    ] = None,
    port: Annotated[int, typer.Option(help="Of the gateway; 0 takes a free one.")] = 0,
    node_port: Annotated[int, typer.Option(help="Of the node; 0 takes a free one.")] = 0,
    identity_port: Annotated[int, typer.Option(help="Of the identity authority.")] = 0,
    keyholders: Annotated[int, typer.Option(help="How many (first run).")] = 3,
    threshold: Annotated[int, typer.Option(help="How many make a key (first run).")] = 2,
    recovery_delay: Annotated[
        int, typer.Option(help="Seconds to veto a recovery (first run).")
    ] = DEFAULT_RECOVERY_DELAY,
    register: Annotated[
        list[Path] | None,
        typer.Option(help="Residents or enterprises (CSV) for the identity authority."),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Cheap keystores: for trying out only.")
    ] = False,
) -> None:
    """Start chain, gateway, identity authority and keyholders; watch them; stop them on Ctrl-C."""
    session = session_of(context)
    data = directory or session.options.data or Path("quancheng-data")
    first = not Layout(data).installed.exists()
    password = read_password(session.password_source, repeat=first)
    settings = SupervisorSettings(
        data=data.resolve(),
        ports=Ports(node=node_port, gateway=port, identity=identity_port),
        keyholders=keyholders,
        threshold=threshold,
        recovery_delay=recovery_delay,
        scrypt_n=MIN_SCRYPT_N if demo else session.options.scrypt_n,
    )
    with (
        suppress(KeyboardInterrupt),
        ended_by_signals(),
        Supervisor(settings, password, session.output.say) as supervisor,
    ):
        addresses = supervisor.addresses
        for file in register or ():
            session.output.say(f"the identity authority takes {file.name}")
            officer = Keystore(supervisor.layout.keystore("officer")).entry(ACCOUNT).public
            command = ("import", str(file.resolve()))
            identity = Services(settings, addresses).identity(officer)
            run_command(identity, command, password, step=f"importing {file.name}")
        session.output.result(
            {
                "data": str(settings.data),
                "trial": supervisor.deployment.trial,
                "node": addresses.node,
                "gateway": addresses.gateway,
                "identity": addresses.identity,
                "keyholders": addresses.keyholders,
            },
            f"data        {settings.data}",
            f"trial       {supervisor.deployment.trial_text}",
            f"node        {addresses.node}",
            f"gateway     {addresses.gateway}",
            f"identity    {addresses.identity}",
            *(f"keyholder   {keyholder}" for keyholder in addresses.keyholders),
            "ready; Ctrl-C stops everything",
        )
        supervisor.watch(Event())


@gateway.command("serve")
def serve_gateway(context: typer.Context) -> None:
    """Run the gateway (`python -m gateway`) with the settings of the environment."""
    become(session_of(context), "gateway", ())


@keyholder.command("serve")
def serve_keyholder(context: typer.Context) -> None:
    """Run the keyholder (`python -m wallet.keyholder`) with the settings of the environment."""
    become(session_of(context), _KEYHOLDER, ("serve",))


@keyholder.command("init")
def initialize(context: typer.Context) -> None:
    """Draw a new keyholder's account and encryption key; the authority then admits its address."""
    run(session_of(context), _KEYHOLDER, ("init",))


@keyholder.command("register")
def register(context: typer.Context) -> None:
    """Put the encryption key into the Registry, once admitted."""
    run(session_of(context), _KEYHOLDER, ("register",))


@keyholder.command("check")
def check(context: typer.Context) -> None:
    """Say which epochs are complete, with fingerprints to compare with the other keyholders' by voice."""
    run(session_of(context), _KEYHOLDER, ("check",))


@keyholder.command("journal")
def journal(context: typer.Context) -> None:
    """Check the running hash of the release journal."""
    run(session_of(context), _KEYHOLDER, ("journal",))


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

    The first epoch is made so too. What was encrypted before stays readable: a record says of which
    epoch its keys are. Serve again afterwards: a running keyholder knows the epochs that it started with.
    """
    session = session_of(context)
    if take:
        run(session, _KEYHOLDER, ("import", *map(str, take)))
    elif epoch is not None and members and out is not None:
        drawing = ("draw", "--epoch", str(epoch), "--threshold", str(threshold))
        run(session, _KEYHOLDER, (*drawing, "--members", members, "--out", str(out)))
    else:
        raise InputError("name --epoch, --members and --out to draw; or --take FILE to take")


def become(session: Session, module: str, arguments: Sequence[str]) -> None:
    """Let this process become a service."""
    command = [sys.executable, "-m", module, *arguments]
    environment = _environment(session, module)
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606 - our own module


def run(session: Session, module: str, arguments: Sequence[str]) -> None:
    """Run one of a service's commands and print what it prints.

    Raises:
        PartyError: it failed, and said why.
    """
    command = [sys.executable, "-m", module, *arguments]
    source = session.password_source
    done = subprocess.run(  # noqa: S603 - our own module
        command,
        env=_environment(session, module),
        capture_output=True,
        text=True,
        check=False,
        pass_fds=(source.number,) if isinstance(source, Descriptor) else (),
    )
    lines = done.stdout.splitlines()
    if done.returncode and done.stderr:
        raise PartyError("Service", done.stderr.splitlines()[-1])
    session.output.result({"lines": lines}, *lines)
    if done.returncode:
        raise typer.Exit(done.returncode)


def _environment(session: Session, module: str) -> dict[str, str]:
    """Return the environment, with what was given here where it says nothing."""
    options, addresses = session.options, session.addresses
    deployment = options.deployment
    if deployment is None and options.data is not None:
        deployment = Layout(options.data).deployment
    keyholders = addresses.keyholders
    given = {
        "home": str(options.home),
        "deployment": "" if deployment is None else str(deployment),
        "node": addresses.node,
        "gateway": addresses.gateway,
        "keyholders": msgspec.json.encode(keyholders).decode() if keyholders else "",
        "password": "" if options.password == "prompt" else options.password,  # noqa: S105
        "scrypt_n": str(options.scrypt_n),
    }
    prefix = f"QUANCHENG_{module.rpartition('.')[2].upper()}_"
    known = {
        prefix + name: given[option] for option, name in _SETTINGS[module].items() if given[option]
    }
    return known | dict(os.environ)
