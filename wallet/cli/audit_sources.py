"""What the audit's commands read: a node of the regulator's choice or a trail file, and journals.

A trail is read once, by the replay. Whatever a command shows of it, it takes from that reading, so that
nobody can be honest to the check and lie to the table.
"""

import tempfile
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from ledger.deployment import verify_deployment
from ledger.replay import (
    Journal,
    KnownEnd,
    ReplayReport,
    Witness,
    replay_node,
    replay_trail,
)
from ledger.rpc import Rpc
from wallet.cli.errors import InputError
from wallet.cli.session import Session
from wallet.cli.values import address_of, hash_of
from wallet.regulator.journals import GatewayJournal, KeyholderJournal, fetch_journal

_MOST_DIGITS: Final = 20

JournalFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--journal",
        metavar="[RECORDER=]FILE",
        help="A gateway's journal file, of the recorder that its last line names, or of this one; may be repeated.",
    ),
]
KeyholderFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--keyholder-journal",
        metavar="ADDRESS=FILE",
        help="A keyholder's releases.ndjson, by the keyholder's address; may be repeated.",
    ),
]
FromGateway = Annotated[
    bool, typer.Option("--from-gateway", help="Fetch the gateway's journal, as a regulator.")
]
KnownEndText = Annotated[
    str | None,
    typer.Option(
        "--end",
        metavar="NUMBER:HEAD",
        help="What `audit head` printed, or somebody else whom you trust: the trail must pass it.",
    ),
]
Trail = Annotated[
    Path | None, typer.Option(help="Replay an exported trail instead of asking the node.")
]


def replayed(
    session: Session,
    trail: Path | None = None,
    journals: Sequence[Journal] = (),
    end: str | None = None,
    *,
    voidable: Container[int] | None = None,
    witness: Witness | None = None,
) -> ReplayReport:
    """Replay a trail file, or what the node has.

    Args:
        session: of the command.
        trail: the file; None for the node.
        journals: to compare with.
        end: through what it must come, as `audit head` prints it.
        voidable: numbers of accesses of which to report whether their use may be given back.
        witness: is shown what is read.
    """
    deployment, known_end = session.deployment, _known_end(end)
    if trail is not None:
        return replay_trail(trail, deployment, journals, known_end=known_end, witness=witness)
    with node(session) as rpc:
        return replay_node(
            rpc,
            deployment,
            journals,
            finality=session.ledger.finality,
            known_end=known_end,
            voidable=voidable,
            witness=witness,
        )


@contextmanager
def node(session: Session) -> Iterator[Rpc]:
    """Ask the node that the regulator named, once it is known to have these contracts."""
    if not session.addresses.node:
        raise InputError("which node? name --node URL: the regulator's own")
    with Rpc(session.addresses.node) as rpc:
        verify_deployment(rpc, session.deployment)
        yield rpc


@contextmanager
def journals_of(
    session: Session,
    files: Sequence[str] | None,
    keyholders: Sequence[str] | None,
    *,
    from_gateway: bool,
) -> Iterator[list[Journal]]:
    """Read the journals that a command names.

    Args:
        session: of the command.
        files: gateways' journals.
        keyholders: keyholders' journals, each by its address.
        from_gateway: whether to fetch the gateway's own.
    """
    found: list[Journal] = []
    for text in files or ():
        owner, path = _named_file(text)
        found.append(GatewayJournal(path, path.name, owner))
    found += _keyholder_journals(keyholders or ())
    if not from_gateway:
        yield found
        return
    with fetched(session) as path:
        yield [*found, GatewayJournal(path)]


@contextmanager
def fetched(session: Session) -> Iterator[Path]:
    """Fetch the gateway's journal into a file for a while."""
    with tempfile.TemporaryDirectory(prefix="quancheng-") as directory:
        path = Path(directory) / "journal.ndjson"
        session.run(fetch_journal(path))
        yield path


def _known_end(text: str | None) -> KnownEnd | None:
    if text is None:
        return None
    number, _, head = text.partition(":")
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        raise InputError("an end is NUMBER:HEAD, as `audit head` prints it")
    return KnownEnd(int(number), hash_of(head, "end's head"))


def _named_file(text: str) -> tuple[bytes | None, Path]:
    """Return whose file it is, where that is named (ADDRESS=FILE), and the file."""
    name, equals, file = text.partition("=")
    if not equals or not name.startswith("0x"):
        return None, Path(text)
    return address_of(name, "journal's owner"), Path(file)


def _keyholder_journals(texts: Sequence[str]) -> list[KeyholderJournal]:
    """Return keyholders' journals, of each keyholder one.

    Raises:
        InputError: A file has no owner, or two have the same.
    """
    found: dict[bytes, KeyholderJournal] = {}
    for text in texts:
        owner, path = _named_file(text)
        if owner is None:
            raise InputError(f"whose journal is {text}? name it ADDRESS=FILE")
        if owner in found:
            raise InputError(f"two journals of {text.partition('=')[0]}: which one?")
        found[owner] = KeyholderJournal(path, str(path), owner)
    return list(found.values())
