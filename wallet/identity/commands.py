"""What an operator of the identity authority does, on the command line.

    init                draw the account and the owner secret; prints the address to be admitted
    import FILE...      take over registers of residents and of enterprises (CSV)
    serve               (also without a command) answer people, officers, consumers and providers

Settings come from the environment (QUANCHENG_IDENTITY_*, `wallet.identity.settings`).
"""

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ledger.chain.deployment import read_deployment
from ledger.hexstr import to_hex
from ledger.plain_text import print_line
from ledger.service.app import run_command, serve_app
from ledger.service.logs import configure_logs
from wallet.errors import WalletError
from wallet.identity.app import create_app
from wallet.identity.database import open_database
from wallet.identity.keys import create_authority, load_authority
from wallet.identity.register import read_register
from wallet.identity.settings import IdentitySettings
from wallet.identity.store import Store
from wallet.keystore import Keystore
from wallet.passwords import parse_source, read_password


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    return run_command("identity", IdentitySettings, _COMMANDS, options, WalletError)


def initialize(settings: IdentitySettings, _: argparse.Namespace) -> None:
    """Draw account and owner secret."""
    source = parse_source(settings.password)
    password = read_password(source, question="New password: ", repeat=True)
    keys = create_authority(_keystore(settings), password)
    print_line(f"address  {to_hex(keys.address)}")


def take_over(settings: IdentitySettings, options: argparse.Namespace) -> None:
    """Import registers."""

    async def import_all() -> None:
        database = await open_database(settings.database_url)
        try:
            for path in options.files:
                count = await Store(database).import_people(read_register(path))
                print_line(f"{count:>10,}  {path}")
        finally:
            await database.close()

    settings.home.mkdir(parents=True, exist_ok=True)
    asyncio.run(import_all())


def run(settings: IdentitySettings, _: argparse.Namespace) -> int:
    configure_logs(settings.log_level)
    keys = load_authority(_keystore(settings), read_password(parse_source(settings.password)))
    read_deployment(settings.deployment)  # so that a wrong file is said before anything is opened
    return serve_app(create_app(settings, keys), settings.host, settings.port)


_COMMANDS: Final[Mapping[str, Callable[[IdentitySettings, argparse.Namespace], int | None]]] = {
    "serve": run,
    "init": initialize,
    "import": take_over,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wallet.identity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve")
    commands.add_parser("init")
    taking = commands.add_parser("import")
    taking.add_argument("files", type=Path, nargs="+")
    return parser


def _keystore(settings: IdentitySettings) -> Keystore:
    settings.home.mkdir(parents=True, exist_ok=True)
    return Keystore(settings.keystore, scrypt_n=settings.scrypt_n)
