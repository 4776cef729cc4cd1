"""`quancheng consumer`: apply, ask people, use what was granted, open and check it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ledger.hexstr import from_hex, to_hex
from ledger.model import OUTCOMES, ZERO_WORD
from ledger.plain_text import verify_document
from ledger.typed_data import struct_hash
from wallet.cli.keys import key
from wallet.cli.output import (
    GATEWAYS_WORD,
    address_of,
    hash_of,
    mask_of,
    moment_text,
    named,
    person_of,
    read_file,
    release_text,
    short,
    span_of,
    time_of,
    write_file,
)
from wallet.cli.session import Session, session_of
from wallet.client import datasets
from wallet.client.accesses import my_accesses, resume
from wallet.client.errors import ClientError, ErrorKind
from wallet.client.receipts import decode_receipt, encode_receipt, verify_receipt
from wallet.client.verification import Basis, Opened
from wallet.consumer.access import Used, open_kept
from wallet.consumer.cases import Case
from wallet.errors import InputError
from wallet.parties import Consumer

app = typer.Typer(help="A bank, an insurer, another department.", no_args_is_help=True)
app.command("key")(key)


class Recorder(StrEnum):
    """What to do with a recorder."""

    NAME = "name"
    DISMISS = "dismiss"


Fields = Annotated[str, typer.Option(help="Names or numbers by commas, or all.")]


@app.command()
def apply(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Dataset.")],
    purpose: Annotated[str, typer.Argument(help="Purpose.")],
    *,
    fields: Fields = "all",
    justification: Annotated[str, typer.Option(help="Why; public for ever.")],
    confidentiality: Annotated[
        Path | None, typer.Option(help="Sign this confidentiality agreement (a text file) too.")
    ] = None,
) -> None:
    """Apply for a dataset and a purpose; with --confidentiality sign the agreement at once."""
    session, bank = _consumer(context)
    # Before anything is sent: an application stands for ever.
    text = None if confidentiality is None else _document(confidentiality)
    identifier = hash_of(dataset, "dataset")
    mask = session.mask(bank, identifier, fields)
    done = bank.apply(identifier, hash_of(purpose, "purpose"), mask, justification)
    if text is not None:
        bank.sign_confidentiality(done.application, text)
    session.output.result(
        {
            "application": to_hex(done.application),
            "transaction": to_hex(done.mined.transaction),
            "signed": confidentiality is not None,
        },
        f"application {to_hex(done.application)}",
    )


@app.command()
def sign(
    context: typer.Context,
    application: Annotated[str, typer.Argument(help="Id of the application.")],
    confidentiality: Annotated[Path, typer.Argument(help="Text of the agreement.")],
) -> None:
    """Sign the confidentiality agreement of an application."""
    session, bank = _consumer(context)
    bank.sign_confidentiality(hash_of(application, "application"), _document(confidentiality))
    session.output.result({"application": application, "signed": True}, "signed")


def _only_recorder(bank: Consumer) -> bytes:
    """Return the account that may record; of several the consumer must say which it means."""
    recorders = bank.run(datasets.recorders())
    if len(recorders) != 1:
        names = "; ".join(f"{each.address} {each.name}" for each in recorders) or "none"
        raise InputError(f"name one of the recorders that are admitted: {names}")
    return from_hex(recorders[0].address)


@app.command()
def recorder(
    context: typer.Context,
    act: Annotated[Recorder, typer.Argument(help="name: it may record for me; dismiss: no more.")],
    address: Annotated[
        str, typer.Argument(help="Account of the gateway's recorder; none: the only one there is.")
    ] = "",
) -> None:
    """Say which gateways may record this consumer's requests; none may until it is named."""
    session, bank = _consumer(context)
    party = address_of(address, "recorder") if address else _only_recorder(bank)
    named = act is Recorder.NAME
    mined = bank.name_recorder(party) if named else bank.dismiss_recorder(party)
    session.output.result(
        {"recorder": to_hex(party), "named": named, "block": mined.block_number},
        f"{'named' if named else 'dismissed'} {to_hex(party)}",
    )


@app.command()
def request(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Dataset.")],
    purpose: Annotated[str, typer.Argument(help="Purpose.")],
    *,
    fields: Fields,
    case_number: Annotated[str, typer.Option("--case", help="The consumer's own case number.")],
    until: Annotated[str, typer.Option(help="End of the authorization: +SPAN, date, seconds.")],
    uses: Annotated[int, typer.Option(help="How often.")] = 1,
    interval: Annotated[str, typer.Option(help="Least time between two uses.")] = "0",
    item: Annotated[str, typer.Option(help="Root of the one record wanted.")] = "",
    answer_by: Annotated[str, typer.Option(help="Until when the person may answer.")] = "+7d",
    message: Annotated[str, typer.Option(help="For the person.")] = "",
    handle: Annotated[str, typer.Option(help="That the person handed over.")] = "",
    person: Annotated[
        Path | None, typer.Option(help="JSON with kind, id_number, name; - for stdin.")
    ] = None,
) -> None:
    """Ask a person for an authorization: by a handle, or looked up by name and number."""
    session, bank = _consumer(context)
    identifier = hash_of(dataset, "dataset")
    mask = session.mask(bank, identifier, fields)
    end = time_of(until)
    case = bank.ask(
        handle or person_of(person),
        identifier,
        hash_of(purpose, "purpose"),
        mask,
        case_number=case_number,
        expires_at=end,
        max_uses=uses,
        min_interval=span_of(interval),
        deadline=min(time_of(answer_by), end),
        item=hash_of(item, "item") if item else ZERO_WORD,
        message=message,
    )
    session.output.result(
        {"request": case.request, "reference": case.ask.reference},
        f"request     {case.request}",
    )


@app.command()
def wait(
    context: typer.Context,
    request_id: Annotated[str, typer.Argument(help="Id of the request.", metavar="REQUEST")],
    patience: Annotated[str, typer.Option(help="How long at most.")] = "1h",
) -> None:
    """Wait for a person's answer; what was granted is checked against what was asked."""
    session, bank = _consumer(context)
    answered = bank.wait(bank.cases.get(request_id), float(span_of(patience)))
    granted = answered.authorization_id
    session.output.result(
        {
            "request": request_id,
            "state": answered.state,
            "authorization": None if granted is None else to_hex(granted),
        },
        answered.state + ("" if granted is None else f": authorization {to_hex(granted)}"),
    )
    if granted is None:
        raise typer.Exit(5)


@app.command()
def access(
    context: typer.Context,
    basis: Annotated[
        str,
        typer.Argument(help="Authorization, agreement, order or dataset; `resume`: what is open."),
    ],
    *,
    fields: Annotated[
        str, typer.Option(help="By commas, or all; of an authorization all of its own.")
    ] = "",
    dataset: Annotated[str, typer.Option(help="Of the basis, unless it is an authorization.")] = "",
    item: Annotated[str, typer.Option(help="Root of the one record wanted.")] = "",
    receipt: Annotated[Path | None, typer.Option(help="Write the receipt here.")] = None,
    values: Annotated[bool, typer.Option("--values/--no-values", help="Show the values.")] = True,
    again: Annotated[
        bool, typer.Option("--again", help="Use it again although an earlier use was lost.")
    ] = False,
) -> None:
    """Use a basis once; open and check what comes. Exit code 3: denied, on chain.

    Once a receipt is written the key of the answer is destroyed; without one `open` can read the answer
    again for an hour.
    """
    session, bank = _consumer(context)
    if basis == "resume":
        _resume(session, bank)
        return
    identifier = hash_of(basis, "basis")
    case = bank.cases.of_authorization(identifier)
    mask = _mask(bank, identifier, case, fields, dataset)
    lost = bank.requests.lost_uses(bank.address, identifier)
    if lost:
        question = (
            f"{len(lost)} earlier use of this basis was recorded and never handed out. "
            "Use it again? That counts once more."
        )
        session.confirm(question, yes=again)
    used = bank.use_basis(
        identifier,
        mask,
        item=hash_of(item, "item") if item else ZERO_WORD,
        known=Basis() if case is None else case.basis,
        another_use=bool(lost),
    )
    _show(session, bank, used, receipt, values=values)


@app.command("open")
def open_answer(
    context: typer.Context,
    number: Annotated[int | None, typer.Argument(help="Of the request; none: list them.")] = None,
    *,
    receipt: Annotated[Path | None, typer.Option(help="Write the receipt here.")] = None,
    values: Annotated[bool, typer.Option("--values/--no-values", help="Show the values.")] = True,
) -> None:
    """Open an answer again that came within the hour and has no receipt yet; without a number list the requests."""
    session, bank = _consumer(context)
    if number is None:
        _list_requests(session, bank)
        return
    request = bank.requests.get(number)
    case = bank.cases.of_authorization(request.submission.request.basis)
    known = Basis() if case is None else case.basis
    steps = open_kept(bank.ledger, bank.encryption_key, bank.requests, request, known)
    _show(session, bank, bank.run(steps), receipt, values=values)


@app.command()
def history(
    context: typer.Context,
    cursor: Annotated[str, typer.Option(help="Of the page before, for older ones.")] = "",
) -> None:
    """Show the consumer's own accesses, the newest first, and whether they were handed out."""
    session, bank = _consumer(context)
    page = bank.run(my_accesses(cursor or None))
    session.output.warn(GATEWAYS_WORD)
    session.output.result(page)
    session.output.table(
        "Accesses",
        ("when", "number", "basis", "dataset", "outcome", "release"),
        [
            (
                moment_text(each.at),
                each.sequence,
                short(each.basis),
                named(each.dataset_title, each.dataset),
                each.outcome,
                release_text(each.release, voided=each.voided),
            )
            for each in page.accesses
        ],
    )


@app.command()
def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A receipt.")],
    *,
    values: Annotated[bool, typer.Option("--values/--no-values", help="Show the values.")] = False,
) -> None:
    """Check a receipt: offline, and against the chain when there is a --node. Exit code 4: wrong."""
    session, bank = _consumer(context)
    opened = bank.run(verify_receipt(bank.ledger, decode_receipt(read_file(file))))
    session.output.result(_opened_document(opened, values=values), *_opened_lines(opened))
    if values:
        _show_values(session, opened)


@app.command()
def appeal(
    context: typer.Context,
    statement: Annotated[str, typer.Argument(help="Public for ever.")],
) -> None:
    """Appeal against a restriction."""
    session, bank = _consumer(context)
    mined = bank.appeal(statement)
    session.output.result({"transaction": to_hex(mined.transaction)}, "appealed")


# Help


def _document(file: Path) -> str:
    """Return a confidentiality agreement, its lines ended by line feeds, as it is signed."""
    try:
        text = read_file(file, 2**20).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8") from error
    return verify_document("the confidentiality agreement", text.replace("\r\n", "\n"))


def _consumer(context: typer.Context) -> tuple[Session, Consumer]:
    session = session_of(context)
    return session, session.party(Consumer)


def _mask(bank: Consumer, basis: bytes, case: Case | None, fields: str, dataset: str) -> int:
    """Return which fields to ask for."""
    granted = None if case is None else case.authorization
    if granted is not None and not fields:
        return granted.fields
    about = hash_of(dataset, "dataset") if dataset else basis
    if granted is not None:
        about = granted.dataset
    try:
        names = bank.run(datasets.registered(bank.ledger, about)).fields
    except ClientError as error:
        if error.kind not in (ErrorKind.UNKNOWN_NAME, ErrorKind.NOT_FOUND) or about != basis:
            raise
        raise InputError(
            f"{to_hex(basis)} is no dataset, and no authorization that is kept here: name --dataset"
        ) from error
    if not fields:
        raise InputError("which fields? name --fields")
    return mask_of(names, fields)


def _resume(session: Session, bank: Consumer) -> None:
    signed = [case.basis.consent for case in bank.cases.all()]
    consents = {struct_hash(each.authorization): each for each in signed if each is not None}
    answers = bank.run(resume(bank.requests, bank.address, consents=consents))
    documents = []
    for answer in answers:
        recorded, problem = answer.result.recorded, answer.result.problem
        outcome = OUTCOMES[recorded.outcome].title if recorded else ""
        outcome = outcome or (problem.title if problem else "")
        documents.append({"number": answer.request.id, "outcome": outcome})
    session.output.result(
        {"requests": documents},
        *(f"request {each['number']}: {each['outcome']}" for each in documents),
    )


def _list_requests(session: Session, bank: Consumer) -> None:
    newest = bank.requests.newest(bank.address)
    session.output.result(
        [{"number": each.id, "basis": to_hex(each.submission.request.basis)} for each in newest]
    )
    session.output.table(
        "Requests",
        ("number", "basis", "fields", "answered"),
        [
            (
                each.id,
                to_hex(each.submission.request.basis),
                each.submission.request.fields.bit_count(),
                "yes" if each.answer else "no",
            )
            for each in newest
        ],
    )


def _show(
    session: Session, bank: Consumer, used: Used, receipt: Path | None, *, values: bool
) -> None:
    opened = used.opened
    document = _opened_document(opened, values=values) | {"number": used.request.id}
    lines = list(_opened_lines(opened))
    if receipt is not None:
        write_file(receipt, encode_receipt(used.receipt), private=True)
        bank.note_stored(used)
        document["receipt"] = str(receipt)
        lines.append(f"receipt     {receipt}")
    if values:
        _show_values(session, opened)
    session.output.result(document, *lines)


def _opened_document(opened: Opened, *, values: bool) -> dict[str, object]:
    return {
        "access": to_hex(opened.access),
        "sequence": opened.recorded.sequence,
        "block_number": opened.recorded.block_number,
        "dataset": to_hex(opened.dataset),
        "publication": opened.publication,
        "root": to_hex(opened.head.root),
        "records": [
            {
                "number": record.entry.number,
                "item": to_hex(record.entry.root),
                "values": {field.name: field.value for field in record.fields} if values else None,
            }
            for record in opened.records
        ],
        "checked": [check.value for check in opened.checked],
        "unchecked": [
            {"check": each.check.value, "reason": each.reason} for each in opened.unchecked
        ],
        "keyholders": {
            "wrong": [to_hex(holder) for holder in opened.faults.wrong],
            "unsigned": [to_hex(holder) for holder in opened.faults.unsigned],
            "disputed": [to_hex(holder) for holder in opened.faults.disputed],
        },
    }


def _opened_lines(opened: Opened) -> tuple[str, ...]:
    recorded = opened.recorded
    return (
        f"access      {to_hex(opened.access)}",
        f"recorded    as number {recorded.sequence} in block {recorded.block_number}, "
        f"{moment_text(recorded.timestamp)}",
        f"records     {len(opened.records)}, from version {opened.publication} ({opened.head.size:,} records)",
        *(f"checked     {check.success}" for check in opened.checked),
        *(f"NOT CHECKED {each.check.success}: {each.reason}" for each in opened.unchecked),
        *(
            f"WRONG       parts of keyholder {to_hex(holder)}: shown"
            for holder in opened.faults.wrong
        ),
        *(
            f"unsigned    parts in the name of {to_hex(holder)}"
            for holder in opened.faults.unsigned
        ),
        *(f"disputed    parts of keyholder {to_hex(holder)}" for holder in opened.faults.disputed),
    )


def _show_values(session: Session, opened: Opened) -> None:
    for record in opened.records:
        session.output.table(
            f"Record {record.entry.number}  {short(record.entry.root)}",
            ("field", "value"),
            [(field.name, field.value) for field in record.fields],
        )
