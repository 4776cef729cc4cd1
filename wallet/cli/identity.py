"""`quancheng identity`: the identity authority, its counter, and owners for a provider."""

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ledger.api.identity import ActAnswer, PersonKind
from ledger.hexstr import to_hex
from ledger.jsonio import UNREADABLE
from wallet.cli.output import PersonFile, hash_of, moment_text, person_of, read_file
from wallet.cli.services import become
from wallet.cli.session import session_of
from wallet.client.calls import HttpCall
from wallet.client.identity import (
    ProvenSigner,
    SignedOpening,
    ask_owners,
    close_subjects,
    correct_subject,
    issue_code,
    open_subject,
    recovery_state,
    start_recovery,
)
from wallet.client.retry import with_retries
from wallet.errors import InputError

app = typer.Typer(help="The identity authority.", no_args_is_help=True)

Identification = Annotated[str, typer.Option(help="What the officer looked at.")]


@app.command()
def serve(context: typer.Context) -> None:
    """Run the identity authority (`python -m wallet.identity`) with the settings of the environment."""
    become(session_of(context), "wallet.identity", ("serve",))


@app.command()
def enrol(
    context: typer.Context,
    *,
    person: PersonFile = None,
    identification: Identification,
) -> None:
    """Give a person the code to enrol with (`quancheng wallet new --enrol`); an officer."""
    session = session_of(context)
    code = session.anybody.run(with_retries(issue_code(person_of(person), identification)))
    left = max(0, code.expires_at - int(time.time()))
    session.output.result(
        code, f"code        {code.code}", f"good until  {moment_text(code.expires_at)} ({left} s)"
    )


@app.command()
def recover(
    context: typer.Context,
    *,
    person: PersonFile = None,
    identification: Identification = "",
    signers: Annotated[
        Path | None, typer.Option(help="New signers (`quancheng wallet new --recovery`).")
    ] = None,
    state: Annotated[str, typer.Option(help="Show how a recovery stands instead.")] = "",
) -> None:
    """Replace a person's lost keys: frozen at once, effective after the delay; an officer."""
    session = session_of(context)
    if state:
        recovery = session.anybody.run(with_retries(recovery_state(state)))
    elif signers is None or not identification:
        raise InputError("name --signers FILE and --identification, or --state RECOVERY")
    else:
        try:
            proven = msgspec.json.decode(read_file(signers), type=tuple[ProvenSigner, ...])
        except UNREADABLE as error:
            raise InputError(f"{signers} holds no signers: {error}") from error
        recovery = session.anybody.run(
            with_retries(start_recovery(person_of(person), identification, proven))
        )
    session.output.result(recovery, f"recovery    {recovery.recovery}")
    session.output.table(
        "Subjects",
        ("subject", "state", "effective"),
        [
            (each.subject, each.state, moment_text(each.effective_at) if each.effective_at else "")
            for each in recovery.subjects
        ],
    )


@app.command()
def close(
    context: typer.Context,
    *,
    person: PersonFile = None,
    identification: Identification,
    subject: Annotated[
        list[str] | None, typer.Option(help="Which ids, again for each; all if not given.")
    ] = None,
) -> None:
    """Close a person's stolen ids at once: no grant, no use, no recovery; an officer."""
    wanted = [to_hex(hash_of(text, "subject")) for text in subject or ()]
    _act(context, close_subjects(person_of(person), identification, wanted), "closed")


@app.command("open")
def open_(
    context: typer.Context,
    signed: Annotated[Path, typer.Argument(help="File of `quancheng wallet reopen`.")],
    *,
    person: PersonFile = None,
    identification: Identification,
) -> None:
    """Open a closed id again, with the word of its current key; an officer."""
    try:
        opening = msgspec.json.decode(read_file(signed), type=SignedOpening)
    except UNREADABLE as error:
        raise InputError(f"{signed} holds no signed opening: {error}") from error
    _act(context, open_subject(person_of(person), identification, opening), "opened")


@app.command()
def correct(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(help="The id.")],
    *,
    person: PersonFile = None,
    identification: Identification,
) -> None:
    """Give an id to the person whose it is, and end all links of it; an officer."""
    named = to_hex(hash_of(subject, "subject"))
    _act(context, correct_subject(person_of(person), identification, named), "corrected")


def _act(context: typer.Context, call: HttpCall[ActAnswer], done: str) -> None:
    session = session_of(context)
    acted = session.anybody.run(with_retries(call))
    session.output.result(acted, *(f"{done}      {subject}" for subject in acted.subjects))


@app.command()
def owners(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Id of the provider's dataset.")],
    file: Annotated[Path, typer.Argument(help="Resident ids or credit codes, one a line.")],
    kind: Annotated[PersonKind, typer.Option(help="What the file holds.")] = PersonKind.RESIDENT,
) -> None:
    """Ask for the owners of ids, as publishing does; the dataset's provider."""
    session = session_of(context)
    ids = read_file(file).decode("utf-8", "replace").split()
    asked = session.anybody.run(with_retries(ask_owners(hash_of(dataset, "dataset"), kind, ids)))
    texts = [None if owner is None else to_hex(owner) for owner in asked]
    session.output.result({"owners": texts}, *(text or "malformed" for text in texts))
