"""`quancheng audit`: replay, trace, evidence, verify, export; from a node that the regulator chooses."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ledger import queries
from ledger.deployment import Deployment, verify_deployment
from ledger.events import Log
from ledger.hexes import to_hex
from ledger.replay import (
    Journal,
    ReplayReport,
    export_trail,
    open_trail,
    read_logs,
    replay_node,
    replay_trail,
)
from ledger.replay.export import TrailReader
from ledger.rpc import Rpc
from wallet.cli.errors import DifferencesError, InputError
from wallet.cli.keys import key
from wallet.cli.session import Session, session_of
from wallet.cli.values import address_of, hash_of, write_file
from wallet.regulator.exports import Format, access_rows, write_rows
from wallet.regulator.journals import GatewayJournal, KeyholderJournal, fetch_journal
from wallet.regulator.report import make_report
from wallet.regulator.tracing import trace_of

app = typer.Typer(help="The regulator: see, check and keep everything.", no_args_is_help=True)
app.command("key")(key)

_SHOWN = 50

JournalFiles = Annotated[
    list[Path] | None, typer.Option("--journal", help="A gateway's journal file; may be repeated.")
]
KeyholderFiles = Annotated[
    list[Path] | None,
    typer.Option("--keyholder-journal", help="A keyholder's releases.ndjson; may be repeated."),
]
FromGateway = Annotated[
    bool, typer.Option("--from-gateway", help="Fetch the gateway's journal, as a regulator.")
]
Trail = Annotated[
    Path | None, typer.Option(help="Replay an exported trail instead of asking the node.")
]


@app.command()
def replay(
    context: typer.Context,
    *,
    trail: Trail = None,
    journal: JournalFiles = None,
    keyholder_journal: KeyholderFiles = None,
    from_gateway: FromGateway = False,
    html: Annotated[Path | None, typer.Option(help="Write a report for people here.")] = None,
) -> None:
    """Read every event, decide every access again, compare with the journals. Exit code 4: differences."""
    session = session_of(context)
    with _journals(session, journal, keyholder_journal, from_gateway=from_gateway) as journals:
        report = _replay(session, trail, journals)
    if html is not None:
        with _logs(session, trail) as logs:
            page = make_report(session.deployment, report, access_rows(session.deployment, logs))
        write_file(html, page.encode())
    _show_report(session, report)
    if not report.is_clean:
        raise DifferencesError(f"replay found {report.finding_count} differences")


@app.command()
def trace(
    context: typer.Context,
    *,
    subject: Annotated[str, typer.Option(help="Of this person.")] = "",
    authorization: Annotated[str, typer.Option(help="Of this authorization.")] = "",
    consumer: Annotated[str, typer.Option(help="Of this consumer.")] = "",
    dataset: Annotated[str, typer.Option(help="Of this dataset.")] = "",
    case: Annotated[str, typer.Option(help="Of this case, by its reference.")] = "",
    trail: Trail = None,
) -> None:
    """Show the whole life of one subject, authorization, consumer, dataset or case, from the chain alone."""
    session = session_of(context)
    given = [one for one in (subject, authorization, dataset, case) if one]
    if len(given) + bool(consumer) != 1:
        raise InputError(
            "trace exactly one of --subject, --authorization, --consumer, --dataset, --case"
        )
    wanted = address_of(consumer, "consumer") if consumer else hash_of(given[0], "id")
    with _logs(session, trail) as logs:
        entries = trace_of(session.deployment, logs, wanted)
    session.output.result({"entries": entries})
    session.output.table(
        "Trace",
        ("when", "block", "event", "what"),
        [(entry.at, entry.block_number, entry.event, entry.text) for entry in entries],
    )


@app.command()
def evidence(context: typer.Context) -> None:
    """Not there yet: one file for one access, with the block's inclusion proofs."""
    session_of(context)
    raise InputError(
        "evidence files are not built yet; a consumer's receipt (`consumer access --receipt`) and the"
        " exported trail (`audit export --trail-file`) verify offline"
    )


@app.command()
def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An exported trail.")],
    *,
    journal: JournalFiles = None,
    keyholder_journal: KeyholderFiles = None,
) -> None:
    """Replay an exported trail offline. Exit code 4: differences."""
    replay(context, trail=file, journal=journal, keyholder_journal=keyholder_journal)


@app.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="To write; its ending tells the format.")],
    *,
    trail: Trail = None,
    form: Annotated[Format | None, typer.Option("--format", help="jsonl, csv or parquet.")] = None,
    raw: Annotated[
        bool, typer.Option("--trail-file", help="Write the raw trail, to be replayed elsewhere.")
    ] = False,
) -> None:
    """Write all accesses as a table, or the raw trail."""
    session = session_of(context)
    if raw:
        with _node(session) as rpc:
            header = export_trail(rpc, session.deployment, file, finality=session.ledger.finality)
        document = {"file": str(file), "last_block": header.last_block}
        session.output.result(document, f"{file}: up to block {header.last_block}")
        return
    chosen = form or _format_of(file)
    with _logs(session, trail) as logs:
        count = write_rows(file, access_rows(session.deployment, logs), chosen)
    session.output.result({"file": str(file), "accesses": count}, f"{file}: {count:,} accesses")


@contextmanager
def _journals(
    session: Session,
    files: Sequence[Path] | None,
    keyholders: Sequence[Path] | None,
    *,
    from_gateway: bool,
) -> Iterator[list[Journal]]:
    found: list[Journal] = [GatewayJournal(path, path.name) for path in files or ()]
    found += [KeyholderJournal(path, str(path)) for path in keyholders or ()]
    if not from_gateway:
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="quancheng-") as directory:
        path = Path(directory) / "journal.ndjson"
        session.run(fetch_journal(path))
        yield [*found, GatewayJournal(path)]


def _replay(session: Session, trail: Path | None, journals: Sequence[Journal]) -> ReplayReport:
    if trail is not None:
        return replay_trail(trail, session.deployment, journals)
    with _node(session) as rpc:
        return replay_node(rpc, session.deployment, journals, finality=session.ledger.finality)


@contextmanager
def _node(session: Session) -> Iterator[Rpc]:
    if not session.addresses.node:
        raise InputError("which node? name --node URL: the regulator's own")
    with Rpc(session.addresses.node) as rpc:
        verify_deployment(rpc, session.deployment)
        yield rpc


@contextmanager
def _logs(session: Session, trail: Path | None) -> Iterator[Iterator[Sequence[Log]]]:
    deployment: Deployment = session.deployment
    if trail is not None:
        with open_trail(trail) as file:
            yield TrailReader(file).batches()
        return
    with _node(session) as rpc:
        newest = rpc.send(queries.block(session.ledger.finality.tag))
        last = -1 if newest is None else session.ledger.finality.final_number(newest)
        yield read_logs(rpc, deployment.contracts, deployment.block_number, last)


def _show_report(session: Session, report: ReplayReport) -> None:
    document = {
        "clean": report.is_clean,
        "first_block": report.first_block,
        "last_block": report.last_block,
        "events": report.logs,
        "accesses": report.accesses,
        "outcomes": {one.outcome.title: one.count for one in report.outcomes},
        "sequence": report.end.sequence,
        "head": to_hex(report.end.head),
        "journals": report.journals,
        "signatures": report.signatures,
        "releases": report.releases,
        "finding_count": report.finding_count,
        "findings": [
            {"kind": finding.kind.value, "text": str(finding)} for finding in report.findings
        ],
    }
    if not report.is_clean:
        rows = [(one.kind.value, one.problem) for one in report.findings[:_SHOWN]]
        session.output.table(f"Differences ({report.finding_count:,})", ("kind", "what"), rows)
    session.output.result(
        document,
        f"replayed    {report.logs:,} events, {report.accesses:,} accesses, "
        f"blocks {report.first_block} to {report.last_block}",
        f"end         number {report.end.sequence}, head {to_hex(report.end.head)}",
        f"journals    {', '.join(report.journals) or 'none: no signature was checked'}",
        f"signatures  {report.signatures:,} of {report.accesses:,} checked",
        f"verdict     {'no difference' if report.is_clean else 'DIFFERENCES'}",
    )


def _format_of(file: Path) -> Format:
    ending = file.suffix.removeprefix(".")
    if ending not in tuple(Format):
        raise InputError(f"which format? name --format, or end the file in {', '.join(Format)}")
    return Format(ending)
