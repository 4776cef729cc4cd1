"""`quancheng provider`: describe, check and publish data; decide who may use it."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.chain import contract_calls
from ledger.hexstr import to_hex
from wallet.cli.keys import key
from wallet.cli.output import GATEWAYS_WORD, hash_of, moment_text, named, time_of
from wallet.cli.session import Session, session_of
from wallet.errors import InputError
from wallet.parties import Provider
from wallet.provider import agreements
from wallet.provider.description import Description, Encoding, read_description
from wallet.provider.errors import ProviderError
from wallet.provider.publisher import Options, Stage, check_file
from wallet.provider.quality import QualityError, QualityReport
from wallet.provider.staging import Staging

app = typer.Typer(help="A department.", no_args_is_help=True)
app.command("key")(key)

_SHOWN = 20

DescriptionFile = Annotated[
    Path, typer.Option("--description", "-d", help="The dataset's description, JSON or YAML.")
]
Code = Annotated[str | None, typer.Option(help="Which dataset, where the file describes several.")]
EncodingOption = Annotated[
    Encoding | None, typer.Option(help="Of the file, when it is another than described.")
]


@app.command()
def dataset(context: typer.Context, description: DescriptionFile, code: Code = None) -> None:
    """Register a dataset as its description says; the schema is fixed from then on."""
    session, department = _department(context)
    terms = read_description(description, code).terms()
    made = department.run(agreements.register_dataset(department.ledger, department.key, terms))
    session.done(made.mined, f"dataset {to_hex(made.dataset)}", dataset=to_hex(made.dataset))


@app.command()
def check(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, JSON Lines or Parquet.")],
    description: DescriptionFile,
    code: Code = None,
    encoding: EncodingOption = None,
) -> None:
    """Check a file and show the quality report; nothing is sent."""
    session, department = _department(context)
    described = _described(description, code, encoding)
    with Staging(department.books) as spool:
        report = check_file(file, described, spool, lambda *_: None)
    _show_report(session, report)
    session.output.result(report)
    if report.defective:
        raise typer.Exit(7)


@app.command()
def publish(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, JSON Lines or Parquet.")],
    description: DescriptionFile,
    code: Code = None,
    *,
    encoding: EncodingOption = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Send all records, not only changes.")
    ] = False,
    leave_out: Annotated[
        bool,
        typer.Option("--leave-out-defective", help="Publish the sound records (implies --whole)."),
    ] = False,
    unchanged: Annotated[
        bool, typer.Option("--even-if-unchanged", help="Publish a version that says the same.")
    ] = False,
    processes: Annotated[int | None, typer.Option(help="That encrypt; one a core.")] = None,
    changes: Annotated[
        bool,
        typer.Option("--changes", help="FILE has only new and changed records; the others stay."),
    ] = False,
    gone: Annotated[
        Path | None,
        typer.Option("--withdraw", help="With --changes: numbers of records to withdraw, by line."),
    ] = None,
) -> None:
    """Check, encrypt, upload and publish a file; only changes travel. Interrupted: run it again."""
    try:
        options = Options(whole, leave_out, unchanged, processes, changes, gone)
    except ProviderError as error:
        raise typer.BadParameter(str(error)) from error
    session, department = _department(context)
    described = _described(description, code, encoding)
    try:
        with session.output.progress() as progress:
            bar = progress.add_task(described.code, total=None)

            def tell(stage: Stage, done: int, of: int | None) -> None:
                progress.update(bar, description=stage.value, completed=done, total=of)

            publisher = department.publisher(department.client, described, tell)
            done = publisher.publish(file, options)
    except QualityError as error:
        _show_report(session, error.report)
        raise
    _show_report(session, done.report)
    sent, root = done.changes, to_hex(done.head.root)
    document = {
        "dataset": to_hex(done.dataset),
        "version": done.version,
        "base": done.base,
        "count": done.head.size,
        "root": root,
        "sent": done.sent,
        "changes": sent,
        "report": to_hex(done.report.digest()),
    }
    session.output.result(
        document,
        f"dataset     {to_hex(done.dataset)}",
        f"version     {done.version}: {done.head.size:,} records, root {root}",
        f"sent        {done.sent:,}: {sent.new:,} new, {sent.changed:,} changed, "
        f"{sent.withdrawn:,} withdrawn; {sent.unchanged:,} unchanged",
    )


@app.command()
def applications(context: typer.Context) -> None:
    """Show who applies for this provider's datasets."""
    session, department = _department(context)
    waiting = department.applications()
    if not department.ledger.own_node:
        session.output.warn(GATEWAYS_WORD)
    session.output.result(waiting)
    session.output.table(
        "Applications",
        ("application", "consumer", "purpose", "fields", "state", "signed", "justification"),
        [
            (
                each.application,
                named(each.consumer_name, each.consumer),
                named(each.purpose_code, each.purpose),
                int(each.fields).bit_count(),
                each.state or ("decided" if each.decided else "pending"),
                "yes" if each.signed else "no",
                each.justification,
            )
            for each in waiting
        ],
    )


@app.command()
def approve(
    context: typer.Context,
    application: Annotated[str, typer.Argument(help="Id of the application.")],
    dataset_: Annotated[str, typer.Option("--dataset", help="Its dataset.")],
    fields: Annotated[str, typer.Option(help="By commas, or all that it asks for.")] = "all",
    until: Annotated[str, typer.Option(help="+SPAN, date, or seconds.")] = "+52w",
) -> None:
    """Approve an application, for all or fewer of its fields."""
    session, department = _department(context)
    identifier, end = hash_of(application, "application"), time_of(until)
    if fields == "all":
        approved = department.run(agreements.fields_applied_for(department.ledger, identifier))
    else:
        approved = session.mask(department, hash_of(dataset_, "dataset"), fields)
    call = contract_calls.approve(identifier, approved, end)
    session.act(call, f"approved until {moment_text(end)}", until=end)


@app.command()
def decline(
    context: typer.Context,
    application: Annotated[str, typer.Argument(help="Id of the application.")],
    *,
    reason: Annotated[str, typer.Option(help="Public for ever.")],
) -> None:
    """Decline an application."""
    call = contract_calls.decline(hash_of(application, "application"), reason)
    session_of(context).act(call, "declined")


@app.command()
def withdraw(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(help="Id of an agreement, or of a dataset.")],
    *,
    reason: Annotated[str, typer.Option(help="Public for ever.")],
    dataset_: Annotated[
        bool, typer.Option("--dataset", help="Withdraw a dataset for good, not an agreement.")
    ] = False,
) -> None:
    """End an agreement; with --dataset withdraw a dataset."""
    act = contract_calls.withdraw_dataset if dataset_ else contract_calls.withdraw_agreement
    session_of(context).act(act(hash_of(identifier, "id"), reason), f"withdrew {identifier}")


@app.command()
def erase(
    context: typer.Context,
    dataset_: Annotated[str, typer.Argument(help="Dataset.", metavar="DATASET")],
    number: Annotated[int, typer.Argument(help="Number of the record.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a record for good: tombstone on chain, then salt and ciphertext."""
    session, department = _department(context)
    identifier = hash_of(dataset_, "dataset")
    with department.book(identifier) as book:
        known = book.item(number)
    if known is None or known.root is None:
        raise InputError(f"record {number} is not in the newest version")
    session.confirm(f"Erase record {number} for good?", yes=yes)
    session.done(department.erase(identifier, number), f"erased record {number}")


@app.command()
def accesses(
    context: typer.Context,
    dataset_: Annotated[str, typer.Argument(help="Dataset.", metavar="DATASET")],
) -> None:
    """Show who used a dataset, the newest first."""
    session, department = _department(context)
    page = department.accesses(hash_of(dataset_, "dataset"))
    session.output.warn(GATEWAYS_WORD)
    session.output.result(page)
    session.output.table(
        "Accesses",
        ("sequence", "when", "consumer", "outcome", "fields"),
        [
            (
                each.sequence,
                moment_text(each.at),
                named(each.consumer_name, each.consumer),
                each.outcome,
                int(each.fields or "0").bit_count(),
            )
            for each in page.accesses
        ],
    )


def _described(path: Path, code: str | None, encoding: Encoding | None) -> Description:
    described = read_description(path, code)
    return described if encoding is None else described.in_encoding(encoding)


def _department(context: typer.Context) -> tuple[Session, Provider]:
    session = session_of(context)
    return session, session.party(Provider)


def _show_report(session: Session, report: QualityReport) -> None:
    session.output.say(f"{report.records:,} records, {report.sound:,} sound")
    for remark in report.remarks:
        session.output.say(f"note: {remark}")
    rows = [
        (defect.line, defect.kind.value, defect.column, defect.detail)
        for defect in report.defects[:_SHOWN]
    ]
    if rows:
        title = f"Defects ({sum(count for _, count in report.counts):,})"
        session.output.table(title, (report.unit, "defect", "column", ""), rows)
