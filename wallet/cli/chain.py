"""`quancheng chain`: the embedded chain by itself, the contracts, and how both are."""

import signal
import time
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from ledger.chain import eth_methods
from ledger.chain.deploy import DEFAULT_ADMISSION_DELAY, DEFAULT_RECOVERY_DELAY, deploy
from ledger.chain.deployment import (
    DEFAULT_HEAD_AGE,
    DEFAULT_RELEASE_WINDOW,
    Founder,
    read_deployment,
    write_deployment,
)
from ledger.chain.embedded import DEFAULT_CHAIN_ID, Node, NodeSettings
from ledger.chain.rpc import Rpc
from ledger.crypto.secret_sharing import Roster
from ledger.hexstr import keccak256, parse_address, to_hex
from ledger.replay.sources import newest_final
from wallet.authority.acts import check_name
from wallet.cli.output import address_of, roles_of
from wallet.cli.session import session_of
from wallet.errors import InputError
from wallet.keystore import Kind

app = typer.Typer(
    help="The chain: start an embedded one, deploy the contracts, look at it.", no_args_is_help=True
)


_OR_DATA = ", or --data DIR of `quancheng up`"


@app.command()
def start(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Directory of the chain's state.")],
    port: Annotated[int, typer.Option(help="On the loopback; 0 takes a free one.")] = 0,
    chain_id: Annotated[
        int, typer.Option(help="Never change it under a deployment.")
    ] = DEFAULT_CHAIN_ID,
    block_time: Annotated[float, typer.Option(help="Seconds between blocks.")] = 0.1,
) -> None:
    """Run the embedded chain until Ctrl-C."""
    session = session_of(context)
    stop = Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    with Node(NodeSettings(directory, port, chain_id, block_time)) as node:
        session.output.result({"node": node.url}, f"node        {node.url}")
        while node.is_running and not stop.wait(0.2):
            pass
        if not stop.is_set():
            raise InputError(f"the node has ended; see {node.log_path}")


@app.command("deploy")
def deploy_contracts(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The deployment's file to write.")],
    *,
    founder: Annotated[
        list[str] | None,
        typer.Option(
            help="ADDRESS:ROLES:NAME of who is there from the start, once each; two regulators at"
            " least, unless it is a trial."
        ),
    ] = None,
    trial: Annotated[
        bool, typer.Option("--trial", help="Lets the delays be shorter; every tool shows it.")
    ] = False,
    admission_delay: Annotated[
        int, typer.Option(help="Seconds in which what the authority announces can be vetoed.")
    ] = DEFAULT_ADMISSION_DELAY,
    recovery_delay: Annotated[
        int, typer.Option(help="Seconds in which a recovery can be vetoed.")
    ] = DEFAULT_RECOVERY_DELAY,
    release_window: Annotated[
        int, typer.Option(help="Seconds in which an access can be released.")
    ] = DEFAULT_RELEASE_WINDOW,
    head_age: Annotated[
        int,
        typer.Option(
            help="Seconds that a keyholder's newest final block may be old: 60, and with depth:N or finalized"
            " the time that a block takes to become final besides."
        ),
    ] = DEFAULT_HEAD_AGE,
) -> None:
    """Deploy the five contracts; the party's account becomes the authority."""
    session = session_of(context)
    if file.exists():
        raise InputError(f"{file} is there already; it would be lost")
    founders = list(map(_founder, founder or ()))
    secret = session.keystore.load(session.options.key, Kind.ETHEREUM_KEY, session.password)
    if not session.addresses.node:
        raise InputError(f"which node? name --node URL{_OR_DATA}")
    with Rpc(session.addresses.node) as rpc:
        deployment = deploy(
            rpc,
            secret,
            founders=founders,
            trial=trial,
            admission_delay=admission_delay,
            recovery_delay=recovery_delay,
            release_window=release_window,
            head_age=head_age,
        )
    write_deployment(deployment, file)
    session.output.result(
        {
            "file": str(file),
            "chain_id": deployment.chain_id,
            "authority": to_hex(deployment.authority),
            "trial": deployment.trial,
        },
        f"deployed to chain {deployment.chain_id}; authority {to_hex(deployment.authority)}",
        f"trial       {deployment.trial_text}",
        f"written to {file}: give it to everybody",
    )


@app.command()
def roster(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The deployment's file.")],
    *,
    epoch: Annotated[int, typer.Option(help="Number of the epoch.")],
    threshold: Annotated[int, typer.Option(help="How many keyholders make a key.")] = 2,
    members: Annotated[str, typer.Option(help="Their addresses, in order, by commas.")],
) -> None:
    """Write the keyholders of an epoch into the deployment's file, before anybody encrypts for it."""
    session = session_of(context)
    named = Roster(epoch, threshold, tuple(map(parse_address, members.split(","))))
    write_deployment(read_deployment(file).with_roster(named), file)
    session.output.result(
        {"file": str(file), "epoch": epoch, "roster": to_hex(named.digest())},
        f"epoch {epoch}: {threshold} of {len(named.members)}, roster {to_hex(named.digest())}",
        f"written to {file}: give it to everybody",
    )


@app.command()
def status(context: typer.Context) -> None:
    """Show where the chain stands, whether its newest final block is of now, and check the contracts' code.

    Which one is final `--finality` says, as for the keyholders: they release nothing while it is too old.
    """
    session = session_of(context)
    deployment, finality = session.deployment, session.finality
    with session.node(_OR_DATA) as rpc:
        newest = newest_final(rpc, finality)
        from ledger.chain.web3_access import read  # noqa: PLC0415 - takes two seconds

        log = deployment.contracts.access_log
        accesses, head = rpc.run(read, "AccessLog", log, "state")
        client = rpc.send(eth_methods.client_version())
    age = int(time.time()) - newest.timestamp
    if abs(age) > deployment.head_age:
        session.output.warn(
            f"time        the newest final block ({finality}) is {abs(age)} s {'old' if age > 0 else 'ahead of this clock'}: "
            f"beyond {deployment.head_age} s keyholders release nothing. Does the chain make blocks when nothing "
            "happens, are the clocks right, and does the deployment's headAge include the time until a block is final?"
        )
    document = {
        "chain_id": deployment.chain_id,
        "trial": deployment.trial,
        "client": client,
        "finality": str(finality),
        "block": newest.number,
        "timestamp": newest.timestamp,
        "age": age,
        "accesses": accesses,
        "head": to_hex(head),
        "codes": to_hex(
            keccak256(b"".join(contract.code_hash for contract in deployment.deployed.values()))
        ),
    }
    session.output.result(
        document,
        f"chain       {deployment.chain_id}, {client}",
        f"trial       {deployment.trial_text}",
        f"block       {newest.number}, final by {finality}, {age} s old",
        f"accesses    {accesses}, head {to_hex(head)}",
        "contracts   the code is that of this version",
    )


def _founder(text: str) -> Founder:
    address, roles, name = [*text.split(":", 2), "", ""][:3]
    if not name:
        raise InputError(f"{text!r} is no founder: ADDRESS:ROLES:NAME")
    check_name(name)
    return Founder(address_of(address, "founder"), roles_of(roles), name)
