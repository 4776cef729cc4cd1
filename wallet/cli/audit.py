"""`quancheng audit`: replay, trace, evidence, verify, export; from a node that the regulator chooses."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.evidence import (
    Anchors,
    encode_evidence,
    make_evidence,
    node_hashes,
    trail_hashes,
    verify_evidence,
)
from ledger.hexes import to_hex
from ledger.replay import end_at, export_trail, newest_final
from ledger.trace import Thing
from wallet.cli.audit_evidence import (
    access_name,
    is_evidence,
    read_evidence,
    receipt_documents,
    show_evidence,
)
from wallet.cli.audit_report import WORD_OF_A_TRAIL, require_clean, show_report, show_with_report
from wallet.cli.audit_sources import (
    FromGateway,
    JournalFiles,
    KeyholderFiles,
    KnownEndText,
    Trail,
    fetched,
    journals_of,
    node,
    replayed,
)
from wallet.cli.audit_trace import Timeline, show_timeline
from wallet.cli.audit_voids import show_voids
from wallet.cli.errors import InputError
from wallet.cli.keys import key
from wallet.cli.session import session_of
from wallet.cli.values import address_of, hash_of, write_file
from wallet.regulator.errors import NotVoidableError
from wallet.regulator.evidence import find_in_journal
from wallet.regulator.exports import Format, access_rows, open_table
from wallet.regulator.report import Summary, make_report
from wallet.regulator.voids import EVERY_ACCESS, choose, give_back

app = typer.Typer(help="The regulator: see, check and keep everything.", no_args_is_help=True)
app.command("key")(key)

_RAW = "NOT CHECKED: the file is what the node said; audit verify replays it"


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
    with journals_of(session, journal, keyholder_journal, from_gateway=from_gateway) as journals:
        report = replayed(session, trail, journals, end, witness=witness)
    show_report(session, report, trail)
    if html is not None:
        try:
            write_file(html, make_report(session.deployment, report, summary).encode())
        except InputError as error:
            if report.is_clean:
                raise
            session.output.warn(str(error))
    require_clean(report)


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
    with journals_of(session, journal, keyholder_journal, from_gateway=from_gateway) as journals:
        report = replayed(session, None, journals, voidable=asked)
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
    with node(session) as rpc:
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
    report = replayed(session, trail, end=end, witness=timeline.witness)
    show_timeline(session, timeline)
    show_with_report(session, report, trail, {"entries": timeline.lines})
    require_clean(report)


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
        with fetched(session) as path:
            documents = find_in_journal(path, access_name(access))
    with node(session) as rpc:
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
        session.output.warn(f"blocks      {trail} vouches for them: {WORD_OF_A_TRAIL}")
    if against_node:
        with node(session) as rpc:
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
        with node(session) as rpc:
            header = export_trail(rpc, session.deployment, file, finality=session.ledger.finality)
        document = {"file": str(file), "last_block": header.last_block, "whole": _RAW}
        lines = (f"{file}: up to block {header.last_block}", f"whole       {_RAW}")
        session.output.result(document, *lines)
        return
    with open_table(file, form or _format_of(file)) as add:
        report = replayed(session, trail, end=end, witness=access_rows(add))
    document = {"file": str(file), "accesses": report.accesses}
    line = f"{file}: {report.accesses:,} accesses"
    show_with_report(session, report, trail, document, line)
    require_clean(report)


def _format_of(file: Path) -> Format:
    ending = file.suffix.removeprefix(".")
    if ending not in tuple(Format):
        raise InputError(f"which format? name --format, or end the file in {', '.join(Format)}")
    return Format(ending)
