"""`quancheng up`: the whole embedded profile in one go, until Ctrl-C."""

from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from ledger.deployment import DEFAULT_RECOVERY_DELAY
from ledger.envelope import LEAST_SCRYPT_N
from wallet.cli.session import session_of
from wallet.keystore import Keystore
from wallet.passwords import Password, read_password
from wallet.supervisor import Layout, Ports, Supervisor, SupervisorSettings, ended_by_signals
from wallet.supervisor.layout import ACCOUNT
from wallet.supervisor.processes import run_command
from wallet.supervisor.services import Services


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
        scrypt_n=LEAST_SCRYPT_N if demo else session.options.scrypt_n,
    )
    with (
        suppress(KeyboardInterrupt),
        ended_by_signals(),
        Supervisor(settings, password, session.output.say) as supervisor,
    ):
        found = supervisor.addresses
        for file in register or ():
            session.output.say(f"the identity authority takes {file.name}")
            _import(supervisor, password, file)
        session.output.result(
            {
                "data": str(settings.data),
                "trial": supervisor.deployment.trial,
                "node": found.node,
                "gateway": found.gateway,
                "identity": found.identity,
                "keyholders": found.keyholders,
            },
            f"data        {settings.data}",
            f"trial       {supervisor.deployment.trial_text}",
            f"node        {found.node}",
            f"gateway     {found.gateway}",
            f"identity    {found.identity}",
            *(f"keyholder   {keyholder}" for keyholder in found.keyholders),
            "ready; Ctrl-C stops everything",
        )
        supervisor.watch(Event())


def _import(supervisor: Supervisor, password: Password, file: Path) -> None:
    """Let the identity authority know the people or enterprises of a register."""
    services = Services(supervisor.settings, supervisor.addresses)
    officer = Keystore(supervisor.layout.keystore("officer")).entry(ACCOUNT).public
    command = ("import", str(file.resolve()))
    run_command(services.identity(officer), command, password, step=f"importing {file.name}")
