"""A party's keys: `key` in the groups of authority, provider, consumer and regulator."""

import secrets
from typing import Annotated

import typer

from ledger.crypto.hpke import DecryptionKey, Suite
from ledger.hexstr import checksum_address, to_hex
from wallet.cli.session import session_of
from wallet.client.transactions import register_encryption_key
from wallet.keystore import Kind
from wallet.party import ENCRYPTION


def key(
    context: typer.Context,
    *,
    register: Annotated[
        bool, typer.Option("--register", help="Put the encryption key into the Registry.")
    ] = False,
    suite: Annotated[
        str, typer.Option(help="Of a new encryption key: X25519 or MLKEM768_X25519.")
    ] = Suite.X25519.name,
) -> None:
    """Show the party's address and encryption key; draw them if there are none."""
    session = session_of(context)
    names = {entry.name for entry in session.keystore.entries()}
    password = session.password
    if session.options.key not in names:
        account = secrets.token_bytes(32)
        session.keystore.store(session.options.key, Kind.ETHEREUM_KEY, account, password)
    if ENCRYPTION not in names:
        drawn = DecryptionKey.generate(_suite(suite))
        public = drawn.encryption_key.to_bytes()
        session.keystore.store(
            ENCRYPTION, Kind.ENCRYPTION_KEY, drawn.to_bytes(), password, public=public
        )
    address = session.keystore.entry(session.options.key).public
    party = session.anybody
    public = party.encryption_key.encryption_key.to_bytes()
    document: dict[str, object] = {"address": to_hex(address), "encryption_key": to_hex(public)}
    lines = [f"address         {checksum_address(address)}", f"encryption key  {to_hex(public)}"]
    if register:
        mined = party.run(register_encryption_key(party.ledger, party.key, party.encryption_key))
        document["transaction"] = to_hex(mined.transaction)
        lines.append(f"registered in block {mined.block_number}")
    session.output.result(document, *lines)


def _suite(name: str) -> Suite:
    if name not in Suite.__members__:
        raise typer.BadParameter(f"one of {', '.join(Suite.__members__)}")
    return Suite[name]
