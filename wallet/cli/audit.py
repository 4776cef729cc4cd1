"""`quancheng audit`: replay, trace, evidence, verify, export; from a node that the regulator chooses."""

import tempfile
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ledger import queries
from ledger.deployment import Deployment, verify_deployment
from ledger.events import Log
from ledger.evidence import (
    Anchors,
    encode_evidence,
    make_evidence,
    node_hashes,
    trail_hashes,
    verify_evidence,
)
from ledger.hexes import to_hex
from ledger.replay import (
    Journal,
    KnownEnd,
    ReplayReport,
    end_at,
    export_trail,
    newest_final,
    open_trail,
    read_logs,
    replay_node,
    replay_trail,
)
from ledger.replay.export import TrailReader
from ledger.rpc import Rpc
from ledger.trace import Thing
from wallet.cli.audit_evidence import (
    access_name,
    is_evidence,
    read_evidence,
    receipt_documents,
    show_evidence,
)
from wallet.cli.audit_journals import keyholder_journals, named_file
from wallet.cli.audit_trace import show_trace
from wallet.cli.audit_voids import show_voids
from wallet.cli.errors import DifferencesError, InputError
from wallet.cli.keys import key
from wallet.cli.session import Session, session_of
from wallet.cli.values import address_of, hash_of, write_file
from wallet.regulator.errors import NotVoidableError
from wallet.regulator.evidence import find_in_journal
from wallet.regulator.exports import Format, access_rows, write_rows
from wallet.regulator.journals import GatewayJournal, fetch_journal
from wallet.regulator.report import make_report
from wallet.regulator.voids import EVERY_ACCESS, choose, give_back

app = typer.Typer(help="The regulator: see, check and keep everything.", no_args_is_help=True)
app.command("key")(key)

_SHOWN = 50
_MOST_DIGITS = 20
_WORD_OF_A_TRAIL = (
    "their hashes and times are the word of whoever made the file; nothing in it proves them"
)

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


@app.command()
def replay(
    context: typer.Context,
    *,
    trail: Trail = None,
    journal: JournalFiles = None,
    keyholder_journal: KeyholderFiles = None,
    from_gateway: FromGateway = False,
    end: KnownEndText = None,
    html: Annotated[Path | None, typer.Option(help="Write a report for people here.")] = None,
) -> None:
    """Read every event, decide every access again, compare with the journals. Exit code 4: differences."""
    session = session_of(context)
    with _journals(session, journal, keyholder_journal, from_gateway=from_gateway) as journals:
        report = _replay(session, trail, journals, _known_end(end))
    if html is not None:
        with _logs(session, trail) as logs:
            page = make_report(session.deployment, report, access_rows(session.deployment, logs))
        write_file(html, page.encode())
    _show_report(session, report, trail)
    if not report.is_clean:
        raise DifferencesError(f"replay found {report.finding_count} differences")


@app.command()
def void(
    context: typer.Context,
    accesses: Annotated[
        list[int] | None, typer.Argument(help="Their numbers; none to show what may be given back.")
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Give back whatever may be given back.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Public for ever: it must not name a person.")] = "",
    journal: JournalFiles = None,
    keyholder_journal: KeyholderFiles = None,
    from_gateway: FromGateway = False,
) -> None:
    """Give uses back that were recorded and never served, as replay and the journals show it."""
    session = session_of(context)
    wanted = accesses or ()
    if every and wanted:
        raise InputError("name accesses, or --all")
    if (every or wanted) and not reason:
        raise InputError("why? name a --reason")
    asked = wanted or EVERY_ACCESS
    with _journals(session, journal, keyholder_journal, from_gateway=from_gateway) as journals:
        report = _replay(session, None, journals, None, voidable=asked)
    chosen = choose(report.voidable, wanted)
    done, passed = [], []
    for use in chosen:
        sent = ""
        if every or wanted:
            try:
                mined = session.run(give_back(session.ledger, session.key, use, reason))
            except NotVoidableError as error:
                passed.append((use, str(error)))
                continue
            sent = to_hex(mined.transaction)
        done.append((use, sent))
    show_voids(session, done, passed)
    if passed:
        raise NotVoidableError(f"{len(passed):,} uses were passed over: replay again")


@app.command()
def head(context: typer.Context) -> None:
    """Print the end of everything that is final, to be kept where nobody can change it: NUMBER:HEAD."""
    session = session_of(context)
    contracts = session.deployment.contracts
    with _node(session) as rpc:
        block = newest_final(rpc, session.ledger.finality)
        known = end_at(rpc, contracts, block.number).known
    document = {
        "end": str(known),
        "number": known.number,
        "head": to_hex(known.head),
        "block_number": block.number,
        "block_hash": to_hex(block.hash),
    }
    session.output.result(document, str(known))


@app.command()
def trace(
    context: typer.Context,
    *,
    subject: Annotated[str, typer.Option(help="Of this person.")] = "",
    authorization: Annotated[str, typer.Option(help="Of this authorization.")] = "",
    party: Annotated[
        str, typer.Option("--party", "--consumer", help="Of this consumer, or another party.")
    ] = "",
    dataset: Annotated[str, typer.Option(help="Of this dataset.")] = "",
    case: Annotated[str, typer.Option(help="Of this case, by its reference.")] = "",
    trail: Trail = None,
) -> None:
    """Show the whole life of one subject, authorization, party, dataset or case, from the chain alone."""
    session = session_of(context)
    given = {
        Thing.SUBJECT: subject,
        Thing.AUTHORIZATION: authorization,
        Thing.PARTY: party,
        Thing.DATASET: dataset,
        Thing.CASE: case,
    }
    wanted = [(thing, text) for thing, text in given.items() if text]
    if len(wanted) != 1:
        raise InputError(
            "trace exactly one of --subject, --authorization, --party, --dataset, --case"
        )
    thing, text = wanted[0]
    name = address_of(text, thing) if thing is Thing.PARTY else hash_of(text, thing)
    with _logs(session, trail) as logs:
        show_trace(session, logs, thing, name)


@app.command()
def evidence(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="To write.")],
    *,
    access: Annotated[str, typer.Option(help="Id of the access (0x...), or its number.")] = "",
    receipt: Annotated[
        Path | None, typer.Option(help="The consumer's receipt of the access.")
    ] = None,
    journal: Annotated[Path | None, typer.Option(help="A gateway's journal file.")] = None,
    from_gateway: FromGateway = False,
    values: Annotated[
        bool, typer.Option("--values", help="Show the opened values of the receipt.")
    ] = False,
    field: Annotated[
        list[str] | None, typer.Option(help="Show the values of this field; may be repeated.")
    ] = None,
) -> None:
    """Write one file that proves one access to anybody, offline; from a receipt or a journal."""
    session = session_of(context)
    if sum((receipt is not None, journal is not None, from_gateway)) != 1:
        raise InputError("from what? name one of --receipt, --journal, --from-gateway")
    if receipt is not None:
        documents = receipt_documents(receipt, values=values, fields=field or ())
    elif values or field:
        raise InputError("a journal has no values: name a --receipt")
    elif journal is not None:
        documents = find_in_journal(journal, access_name(access))
    else:
        with _fetched(session) as path:
            documents = find_in_journal(path, access_name(access))
    with _node(session) as rpc:
        made = make_evidence(rpc, session.deployment, documents, session.ledger.finality)
    private = receipt is not None and (values or bool(field))
    write_file(file, encode_evidence(made.evidence), private=private)
    show_evidence(session, made.verified, file)


@app.command()
def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An exported trail, or evidence.")],
    *,
    journal: JournalFiles = None,
    keyholder_journal: KeyholderFiles = None,
    end: KnownEndText = None,
    trail: Annotated[
        Path | None,
        typer.Option(help="Evidence: a trail that has the blocks, from a source that you trust."),
    ] = None,
    anchor: Annotated[
        list[str] | None,
        typer.Option(help="Evidence: hash of a block that you trust; may be repeated."),
    ] = None,
    validator: Annotated[
        list[str] | None,
        typer.Option(help="Evidence: whose seals count, instead of the first block's; repeated."),
    ] = None,
    against_node: Annotated[
        bool, typer.Option("--against-node", help="Evidence: ask the --node for the blocks.")
    ] = False,
) -> None:
    """Check an exported trail, or evidence, offline. Exit code 4: it does not hold."""
    session = session_of(context)
    if not is_evidence(file):
        replay(context, trail=file, journal=journal, keyholder_journal=keyholder_journal, end=end)
        return
    if end is not None:
        raise InputError("evidence is of one access and has no end: --end is for trails")
    found = read_evidence(file)
    hashes = {hash_of(text, "anchor") for text in anchor or ()}
    if trail is not None:
        hashes |= trail_hashes(trail, session.deployment)
        session.output.warn(f"blocks      {trail} vouches for them: {_WORD_OF_A_TRAIL}")
    if against_node:
        with _node(session) as rpc:
            hashes |= node_hashes(rpc, found)
    validators = frozenset(address_of(text, "validator") for text in validator or ())
    anchors = Anchors(frozenset(hashes), validators)
    show_evidence(session, verify_evidence(found, session.deployment, anchors), file)


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
    files: Sequence[str] | None,
    keyholders: Sequence[str] | None,
    *,
    from_gateway: bool,
) -> Iterator[list[Journal]]:
    found: list[Journal] = []
    for text in files or ():
        owner, path = named_file(text)
        found.append(GatewayJournal(path, path.name, owner))
    found += keyholder_journals(keyholders or ())
    if not from_gateway:
        yield found
        return
    with _fetched(session) as path:
        yield [*found, GatewayJournal(path)]


@contextmanager
def _fetched(session: Session) -> Iterator[Path]:
    """Fetch the gateway's journal into a file for a while."""
    with tempfile.TemporaryDirectory(prefix="quancheng-") as directory:
        path = Path(directory) / "journal.ndjson"
        session.run(fetch_journal(path))
        yield path


def _replay(
    session: Session,
    trail: Path | None,
    journals: Sequence[Journal],
    known_end: KnownEnd | None,
    *,
    voidable: Container[int] | None = None,
) -> ReplayReport:
    deployment, finality = session.deployment, session.ledger.finality
    if trail is not None:
        return replay_trail(trail, deployment, journals, known_end=known_end)
    with _node(session) as rpc:
        return replay_node(
            rpc,
            deployment,
            journals,
            finality=finality,
            known_end=known_end,
            voidable=voidable,
        )


def _known_end(text: str | None) -> KnownEnd | None:
    if text is None:
        return None
    number, _, head = text.partition(":")
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        raise InputError("an end is NUMBER:HEAD, as `audit head` prints it")
    return KnownEnd(int(number), hash_of(head, "end's head"))


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


def _show_report(session: Session, report: ReplayReport, trail: Path | None) -> None:
    document = {
        "clean": report.is_clean,
        "first_block": report.first_block,
        "last_block": report.last_block,
        "events": report.logs,
        "accesses": report.accesses,
        "outcomes": {one.outcome.title: one.count for one in report.outcomes},
        "sequence": report.end.sequence,
        "head": to_hex(report.end.head),
        "end": str(report.end.known),
        "end_check": report.end_check,
        "journals": report.journals,
        "signatures": report.signatures,
        "releases": report.releases,
        "voids": report.voids,
        "unchecked_voids": report.unchecked_voids,
        "statements": report.statements,
        "unseen_statements": report.unseen_statements,
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
        f"end         {report.end.known}",
        f"whole       {report.end_check}",
        f"blocks      {_WORD_OF_A_TRAIL if trail else 'hashes and times are those that the node has'}",
        f"journals    {', '.join(report.journals) or 'none: no signature was checked'}",
        f"signatures  {report.signatures:,} of {report.accesses:,} checked",
        f"voided      {report.void_check}",
        f"statements  {report.statement_check}",
        f"verdict     {'no difference' if report.is_clean else 'DIFFERENCES'}",
    )


def _format_of(file: Path) -> Format:
    ending = file.suffix.removeprefix(".")
    if ending not in tuple(Format):
        raise InputError(f"which format? name --format, or end the file in {', '.join(Format)}")
    return Format(ending)
