"""`quancheng audit`: replay, trace, evidence, verify, export; from a node that the regulator chooses.

A trail is read once, by the replay. Whatever a command shows of it, it takes from that reading, so that
nobody can be honest to the check and lie to the table.
"""

import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from ledger.evidence.builder import make_evidence
from ledger.evidence.document import MAX_BYTES, decode_evidence, encode_evidence
from ledger.evidence.verifier import Anchors, node_hashes, trail_hashes, verify_evidence
from ledger.hexstr import to_hex
from ledger.replay.engine import Witness
from ledger.replay.journal_check import Journal
from ledger.replay.report import KnownEnd, ReplayReport, Voidable
from ledger.replay.sources import end_at, export_trail, newest_final, replay_node, replay_trail
from ledger.trace import Thing
from wallet.cli.audit_evidence import access_name, is_evidence, receipt_documents, show_evidence
from wallet.cli.audit_trace import Timeline
from wallet.cli.keys import key
from wallet.cli.output import address_of, hash_of, moment_text, read_file, short, write_file
from wallet.cli.session import Session, session_of
from wallet.errors import InputError, NotVoidableError, PartyError
from wallet.parties import Regulator
from wallet.regulator.evidence import EVERY_ACCESS, choose, find_in_journal, give_back
from wallet.regulator.exports import Format, access_rows, open_table
from wallet.regulator.journals import GatewayJournal, KeyholderJournal
from wallet.regulator.report import Summary, make_report

app = typer.Typer(help="The regulator: see, check and keep everything.", no_args_is_help=True)
app.command("key")(key)

_RAW = "NOT CHECKED: the file is what the node said; audit verify replays it"
_WORD_OF_A_TRAIL: Final = (
    "their hashes and times are the word of whoever made the file; nothing in it proves them"
)
_OWN_NODE: Final = ": the regulator's own"
_SHOWN: Final = 50
_MAX_DIGITS: Final = 20

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
    summary = Summary()
    witness = None if html is None else access_rows(summary.add)
    with _journals_of(session, journal, keyholder_journal, from_gateway=from_gateway) as journals:
        report = _replayed(session, trail, journals, end, witness=witness)
    _show_report(session, report, trail)
    if html is not None:
        try:
            write_file(html, make_report(session.deployment, report, summary).encode())
        except InputError as error:
            if report.is_clean:
                raise
            session.output.warn(str(error))
    _require_clean(report)


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
    with _journals_of(session, journal, keyholder_journal, from_gateway=from_gateway) as journals:
        report = _replayed(session, None, journals, voidable=asked)
    chosen = choose(report.voidable, wanted)
    regulator = session.party(Regulator)
    done, passed = [], []
    for use in chosen:
        sent = ""
        if every or wanted:
            try:
                mined = regulator.run(give_back(regulator.ledger, regulator.key, use, reason))
            except NotVoidableError as error:
                passed.append((use, str(error)))
                continue
            sent = to_hex(mined.transaction)
        done.append((use, sent))
    _show_voids(session, done, passed)
    if passed:
        raise NotVoidableError(f"{len(passed):,} uses were passed over: replay again")


@app.command()
def head(context: typer.Context) -> None:
    """Print the end of everything that is final, to be kept where nobody can change it: NUMBER:HEAD."""
    session = session_of(context)
    contracts = session.deployment.contracts
    with session.node(_OWN_NODE) as rpc:
        block = newest_final(rpc, session.finality)
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
    end: KnownEndText = None,
) -> None:
    """Show the whole life of one subject, authorization, party, dataset or case, from the chain alone.

    Everything is replayed for it. Exit code 4: differences; then the life may not be this.
    """
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
    timeline = Timeline(thing, name)
    report = _replayed(session, trail, end=end, witness=timeline.witness)
    timeline.show(session)
    _show_report(session, report, trail, {"entries": timeline.lines})
    _require_clean(report)


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
    with session.node(_OWN_NODE) as rpc:
        made = make_evidence(rpc, session.deployment, documents, session.finality)
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
    document = decode_evidence(read_file(file, MAX_BYTES))
    hashes = {hash_of(text, "anchor") for text in anchor or ()}
    if trail is not None:
        hashes |= trail_hashes(trail, session.deployment)
        session.output.warn(f"blocks      {trail} vouches for them: {_WORD_OF_A_TRAIL}")
    if against_node:
        with session.node(_OWN_NODE) as rpc:
            hashes |= node_hashes(rpc, document)
    validators = frozenset(address_of(text, "validator") for text in validator or ())
    anchors = Anchors(frozenset(hashes), validators)
    show_evidence(session, verify_evidence(document, session.deployment, anchors), file)


@app.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="To write; its ending tells the format.")],
    *,
    trail: Trail = None,
    end: KnownEndText = None,
    form: Annotated[Format | None, typer.Option("--format", help="jsonl, csv or parquet.")] = None,
    raw: Annotated[
        bool, typer.Option("--trail-file", help="Write the raw trail, to be replayed elsewhere.")
    ] = False,
) -> None:
    """Write all accesses as a table, from a replay; or the raw trail. Exit code 4: differences."""
    session = session_of(context)
    if raw:
        if trail is not None or end is not None:
            raise InputError(
                "a raw trail is the node's, and nothing of it is checked: audit verify"
            )
        with session.node(_OWN_NODE) as rpc:
            header = export_trail(rpc, session.deployment, file, finality=session.finality)
        document = {"file": str(file), "last_block": header.last_block, "whole": _RAW}
        lines = (f"{file}: up to block {header.last_block}", f"whole       {_RAW}")
        session.output.result(document, *lines)
        return
    with open_table(file, form or _format_of(file)) as add:
        report = _replayed(session, trail, end=end, witness=access_rows(add))
    document = {"file": str(file), "accesses": report.accesses}
    line = f"{file}: {report.accesses:,} accesses"
    _show_report(session, report, trail, document, line)
    _require_clean(report)


# Help


def _format_of(file: Path) -> Format:
    ending = file.suffix.removeprefix(".")
    if ending not in tuple(Format):
        raise InputError(f"which format? name --format, or end the file in {', '.join(Format)}")
    return Format(ending)


def _replayed(
    session: Session,
    trail: Path | None = None,
    journals: Sequence[Journal] = (),
    end: str | None = None,
    *,
    voidable: Container[int] | None = None,
    witness: Witness | None = None,
) -> ReplayReport:
    """Replay a trail file, or what the node has; `end` is what `audit head` prints."""
    deployment, known_end = session.deployment, None
    if end is not None:
        number, _, head = end.partition(":")
        if not (number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS):
            raise InputError("an end is NUMBER:HEAD, as `audit head` prints it")
        known_end = KnownEnd(int(number), hash_of(head, "end's head"))
    if trail is not None:
        return replay_trail(trail, deployment, journals, known_end=known_end, witness=witness)
    with session.node(_OWN_NODE) as rpc:
        return replay_node(
            rpc,
            deployment,
            journals,
            finality=session.finality,
            known_end=known_end,
            voidable=voidable,
            witness=witness,
        )


@contextmanager
def _journals_of(
    session: Session,
    files: Sequence[str] | None,
    keyholders: Sequence[str] | None,
    *,
    from_gateway: bool,
) -> Iterator[list[Journal]]:
    """Read the journals that a command names: gateways', of each keyholder one, and the gateway's own."""
    journals: list[Journal] = []
    for text in files or ():
        owner, path = _named_file(text)
        journals.append(GatewayJournal(path, path.name, owner))
    owners = set()
    for text in keyholders or ():
        owner, path = _named_file(text)
        if owner is None:
            raise InputError(f"whose journal is {text}? name it ADDRESS=FILE")
        if owner in owners:
            raise InputError(f"two journals of {text.partition('=')[0]}: which one?")
        owners.add(owner)
        journals.append(KeyholderJournal(path, str(path), owner))
    if not from_gateway:
        yield journals
        return
    with _fetched(session) as path:
        yield [*journals, GatewayJournal(path)]


@contextmanager
def _fetched(session: Session) -> Iterator[Path]:
    """Fetch the gateway's journal into a file for a while."""
    with tempfile.TemporaryDirectory(prefix="quancheng-") as directory:
        path = Path(directory) / "journal.ndjson"
        session.party(Regulator).fetch_journal(path)
        yield path


def _named_file(text: str) -> tuple[bytes | None, Path]:
    """Return whose file it is, where that is named (ADDRESS=FILE), and the file."""
    name, equals, file = text.partition("=")
    if not equals or not name.startswith("0x"):
        return None, Path(text)
    return address_of(name, "journal's owner"), Path(file)


def _show_report(
    session: Session,
    report: ReplayReport,
    trail: Path | None,
    document: Mapping[str, object] | None = None,
    *lines: str,
) -> None:
    """Say what a replay found; with a document, after what came out of the same reading."""
    if not report.is_clean:
        rows = [(finding.kind.value, finding.problem) for finding in report.findings[:_SHOWN]]
        session.output.table(f"Differences ({report.finding_count:,})", ("kind", "what"), rows)
    replay = {
        "clean": report.is_clean,
        "first_block": report.first_block,
        "last_block": report.last_block,
        "events": report.logs,
        "accesses": report.accesses,
        "outcomes": {each.outcome.title: each.count for each in report.outcomes},
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
    session.output.result(
        replay if document is None else {**document, "replay": replay},
        *lines,
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


def _require_clean(report: ReplayReport) -> None:
    if not report.is_clean:
        raise PartyError("Differences", f"replay found {report.finding_count} differences")


def _show_voids(
    session: Session,
    uses: Sequence[tuple[Voidable, str]],
    passed: Sequence[tuple[Voidable, str]],
) -> None:
    """Show uses, each with its transaction (empty where none was sent), and those passed over, with the reason."""
    session.output.table(
        "Uses",
        ("access", "authorization", "ground", "last use then", "transaction"),
        [
            (
                use.sequence,
                short(to_hex(use.authorization)),
                _ground(use),
                moment_text(use.last_use) if use.last_use else "none",
                short(sent) if sent else "not sent",
            )
            for use, sent in uses
        ],
    )
    document = [
        {
            "sequence": use.sequence,
            "authorization": to_hex(use.authorization),
            "ground": _ground(use),
            "last_use": use.last_use,
            "transaction": sent,
        }
        for use, sent in uses
    ]
    given = sum(bool(sent) for _, sent in uses)
    line = f"{given:,} uses given back" if given else f"{len(uses):,} uses may be given back"
    if passed:
        rows = [(use.sequence, why) for use, why in passed]
        session.output.table("Passed over", ("access", "why"), rows)
    left = [{"sequence": use.sequence, "problem": why} for use, why in passed]
    session.output.result({"uses": document, "passed_over": left}, line)


def _ground(use: Voidable) -> str:
    return use.ground.name.lower().replace("_", " ")
