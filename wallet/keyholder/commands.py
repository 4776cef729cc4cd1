"""What an operator of a keyholder does, on the command line.

    init                       draw the account and the encryption key
    register                   put the encryption key into the Registry (once admitted)
    draw --epoch N --threshold K --members A,B,C --out DIR
                               draw this holder's seeds of an epoch, write packets for the others
    import FILE...             take the packets of the others
    check                      say which epochs are complete, with fingerprints to compare by voice
    journal                    check the release journal's running hash
    serve                      (also without a command) answer gateways and providers

Settings come from the environment (QUANCHENG_KEYHOLDER_*, `wallet.keyholder.settings`). Every member
draws with the same epoch, threshold and members; rotation is the same with the next epoch.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ledger.chain import contract_calls, contract_reads
from ledger.chain.deploy import verify_deployment
from ledger.chain.deployment import Deployment, read_deployment
from ledger.chain.rpc import Rpc
from ledger.chain.sender import Sender
from ledger.crypto.hpke import EncryptionKey, Suite
from ledger.crypto.secret_sharing import Roster
from ledger.hexstr import parse_address, to_hex
from ledger.model import Roles
from ledger.plain_text import print_line
from ledger.service.app import run_command, serve_app
from ledger.service.logs import configure_logs
from wallet.errors import WalletError
from wallet.keyholder.app import create_app
from wallet.keyholder.ceremony import (
    begin_epoch,
    decode_packet,
    encode_packet,
    make_packets,
    open_packet,
)
from wallet.keyholder.errors import KeyholderError
from wallet.keyholder.journal import read_journal
from wallet.keyholder.seeds import (
    EpochSeeds,
    Holdings,
    create_holder,
    load_holdings,
    store_epoch,
)
from wallet.keyholder.settings import KeyholderSettings
from wallet.keystore import Keystore
from wallet.passwords import Password, parse_source, read_password


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    return run_command("keyholder", KeyholderSettings, _COMMANDS, options, WalletError)


def initialize(settings: KeyholderSettings, options: argparse.Namespace) -> None:
    """Draw account and encryption key."""
    keystore = _keystore(settings)
    source = parse_source(settings.password)
    password = read_password(source, question="New password: ", repeat=True)
    holdings = create_holder(keystore, password, Suite[options.suite])
    print_line(f"address         {to_hex(holdings.address)}")
    print_line(f"encryption key  {to_hex(holdings.opening.encryption_key.to_bytes())}")


def register(settings: KeyholderSettings, _: argparse.Namespace) -> None:
    """Put the encryption key into the Registry."""
    holdings, _password = _holdings(settings)
    key = holdings.opening.encryption_key.to_bytes()
    with Rpc(settings.node) as rpc:
        deployment = rpc.run(verify_deployment, read_deployment(settings.deployment))
        call = contract_calls.set_encryption_key(key)
        sender = Sender(rpc, holdings.account, fee=settings.fee_rule)
        receipt = sender.send(deployment.address_of(call.contract), call.data)
    print_line(f"registered in block {receipt.block_number}")


def draw(settings: KeyholderSettings, options: argparse.Namespace) -> None:
    """Draw this holder's seeds of an epoch, keep them, and write packets for the other members."""
    members = tuple(parse_address(text) for text in options.members.split(","))
    roster = Roster(options.epoch, options.threshold, members)
    holdings, password = _holdings(settings)
    with Rpc(settings.node) as rpc:
        deployment = rpc.run(verify_deployment, read_deployment(settings.deployment))
        keys = _encryption_keys(rpc, deployment, members)
    seeds = begin_epoch(holdings, roster)
    store_epoch(_keystore(settings), password, seeds)
    options.out.mkdir(parents=True, exist_ok=True)
    for packet in make_packets(seeds, holdings.account, keys):
        subset = "-".join(map(str, packet.subset))
        recipient = roster.number_of(packet.recipient)
        path = options.out / f"epoch-{packet.epoch}-seed-{subset}-to-{recipient}.json"
        path.write_bytes(encode_packet(packet))
        print_line(str(path))
    _report(seeds)


def take(settings: KeyholderSettings, options: argparse.Namespace) -> None:
    """Take seeds from packets; those that are for others are passed over."""
    holdings, password = _holdings(settings)
    packets = [decode_packet(path.read_bytes()) for path in options.files]
    mine = [packet for packet in packets if packet.recipient == holdings.address]
    if not mine:
        raise KeyholderError("none of these packets is for this keyholder")
    for epoch in sorted({packet.epoch for packet in mine}):
        begun = holdings.epochs.get(epoch)
        if begun is None:
            raise KeyholderError(f"draw the seeds of epoch {epoch} first")
        opened = [
            open_packet(packet, begun.roster, holdings.opening, holdings.address)
            for packet in mine
            if packet.epoch == epoch
        ]
        seeds = begun.with_seeds(opened)
        store_epoch(_keystore(settings), password, seeds)
        _report(seeds)


def check(settings: KeyholderSettings, _: argparse.Namespace) -> int:
    """Say which epochs are complete; the exit status is 1 when the newest is not."""
    holdings, _password = _holdings(settings)
    for epoch in sorted(holdings.epochs):
        _report(holdings.epochs[epoch])
    if not holdings.epochs:
        print_line("no epoch was begun")
    newest = max(holdings.epochs, default=None)
    return 0 if newest is not None and not holdings.epochs[newest].missing else 1


def check_journal(settings: KeyholderSettings, _: argparse.Namespace) -> None:
    """Check the running hash of the release journal."""
    count = sum(1 for _entry in read_journal(settings.journal))
    print_line(f"{count} entries, each following the one before")


def run(settings: KeyholderSettings, _: argparse.Namespace) -> int:
    configure_logs(settings.log_level)
    holdings, _password = _holdings(settings)
    read_deployment(settings.deployment)  # so that a wrong file is said before anything is opened
    return serve_app(create_app(settings, holdings), settings.host, settings.port)


_COMMANDS: Final[Mapping[str, Callable[[KeyholderSettings, argparse.Namespace], int | None]]] = {
    "serve": run,
    "init": initialize,
    "register": register,
    "draw": draw,
    "import": take,
    "check": check,
    "journal": check_journal,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wallet.keyholder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command")
    for name in ("serve", "register", "check", "journal"):
        commands.add_parser(name)
    new = commands.add_parser("init")
    new.add_argument("--suite", choices=[suite.name for suite in Suite], default=Suite.X25519.name)
    drawing = commands.add_parser("draw")
    drawing.add_argument("--epoch", type=int, required=True)
    drawing.add_argument("--threshold", type=int, required=True)
    drawing.add_argument("--members", required=True, help="addresses in order, by commas")
    drawing.add_argument("--out", type=Path, required=True, help="directory for the packets")
    taking = commands.add_parser("import")
    taking.add_argument("files", type=Path, nargs="+")
    return parser


def _keystore(settings: KeyholderSettings) -> Keystore:
    settings.home.mkdir(parents=True, exist_ok=True)
    return Keystore(settings.keystore, scrypt_n=settings.scrypt_n)


def _holdings(settings: KeyholderSettings) -> tuple[Holdings, Password]:
    password = read_password(parse_source(settings.password))
    return load_holdings(_keystore(settings), password), password


def _encryption_keys(
    rpc: Rpc, deployment: Deployment, members: Sequence[bytes]
) -> dict[bytes, EncryptionKey]:
    """Return the members' keys from the Registry, after checking that all are active keyholders."""
    at = deployment.contracts
    standings = rpc.send_many([contract_reads.standing_of(at, member) for member in members])
    keys = rpc.send_many([contract_reads.encryption_key_of(at, member) for member in members])
    for member, standing, key in zip(members, standings, keys, strict=True):
        if not standing.active or Roles.KEYHOLDER not in standing.roles:
            raise KeyholderError(f"{to_hex(member)} is not an active keyholder")
        if not key:
            raise KeyholderError(f"{to_hex(member)} has registered no encryption key")
    return {member: EncryptionKey(key) for member, key in zip(members, keys, strict=True)}


def _report(seeds: EpochSeeds) -> None:
    roster = seeds.roster
    sharing = f"{roster.threshold} of {len(roster.members)}"
    print_line(f"epoch {roster.epoch}: keyholder {seeds.number}, {sharing}")
    for subset, fingerprint in seeds.fingerprints().items():
        print_line(f"  seed {'-'.join(map(str, subset))}  {fingerprint}")
    for subset in seeds.missing:
        print_line(f"  seed {'-'.join(map(str, subset))}  missing: from keyholder {subset[0]}")
