"""`quancheng authority`: parties, purposes, orders; and the regulator's restrictions and reviews."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ledger.events import PurposeTerms, Text
from ledger.hexes import to_hex
from wallet.authority import acts
from wallet.cli.errors import InputError
from wallet.cli.keys import key
from wallet.cli.session import Session, session_of
from wallet.cli.values import (
    address_of,
    class_of,
    hash_of,
    mask_of,
    moment_text,
    read_file,
    roles_of,
    time_of,
)
from wallet.client.datasets import registered
from wallet.client.transactions import Mined
from wallet.regulator import acts as regulation

app = typer.Typer(
    help="The city's data bureau, and the regulator's restrictions.", no_args_is_help=True
)
app.command("key")(key)

Reason = Annotated[str, typer.Option(help="Public for ever: it must not name a person.")]


@app.command()
def admit(
    context: typer.Context,
    party: Annotated[str, typer.Argument(help="Address.")],
    roles: Annotated[
        str,
        typer.Argument(
            help="By commas: provider, consumer, regulator, recorder, keyholder, identity-authority."
        ),
    ],
    name: Annotated[str, typer.Argument(help='"中文 / English", as people will see it.')],
) -> None:
    """Admit a party with exactly these roles, or change them."""
    session = session_of(context)
    address = address_of(party, "party")
    steps = acts.admit(session.ledger, session.key, address, roles_of(roles), name)
    _done(session, session.run(steps), f"admitted {party}")


@app.command()
def withdraw(
    context: typer.Context, party: Annotated[str, typer.Argument(help="Address.")]
) -> None:
    """Withdraw a party."""
    session = session_of(context)
    steps = acts.withdraw(session.ledger, session.key, address_of(party, "party"))
    _done(session, session.run(steps), f"withdrew {party}")


@app.command()
def purpose(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="JSON or YAML: code, texts, bounds in seconds.")
    ] = None,
    *,
    retire: Annotated[str, typer.Option(help="Id of a purpose to retire instead.")] = "",
) -> None:
    """Set a purpose for ever: {"code", "texts": {"zh", "en"}, "max_validity", "max_uses", "min_interval", "retention"}."""
    session = session_of(context)
    if retire:
        steps = acts.retire_purpose(session.ledger, session.key, hash_of(retire, "purpose"))
        _done(session, session.run(steps), f"retired {retire}")
        return
    if file is None:
        raise InputError("name the purpose's FILE, or --retire ID")
    made = session.run(acts.register_purpose(session.ledger, session.key, read_purpose(file)))
    _done(session, made.mined, f"purpose {to_hex(made.id)}", purpose=to_hex(made.id))


@app.command("bind")
def bind_fields(
    context: typer.Context,
    purpose_id: Annotated[str, typer.Argument(help="Purpose.")],
    dataset: Annotated[str, typer.Argument(help="Dataset.")],
    fields: Annotated[str, typer.Argument(help="Fields by commas, or all.")],
) -> None:
    """Set, once, which fields of a dataset a purpose may ever use."""
    session = session_of(context)
    identifier = hash_of(dataset, "dataset")
    names = session.run(registered(session.ledger, identifier)).fields
    mask = mask_of(names, fields)
    steps = acts.bind_fields(
        session.ledger, session.key, hash_of(purpose_id, "purpose"), identifier, mask
    )
    _done(session, session.run(steps), f"bound {mask.bit_count()} fields")


@app.command()
def order(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Dataset; with --end an order's id.")],
    *,
    reason: Reason,
    purpose_id: Annotated[str, typer.Option("--purpose", help="Purpose of the emergency.")] = "",
    sharing: Annotated[str, typer.Option(help="Class while it is in force.")] = "Unconditional",
    fields: Annotated[str, typer.Option(help="Fields that it opens.")] = "all",
    starts: Annotated[str, typer.Option(help="+SPAN, date, or seconds.")] = "+0s",
    ends: Annotated[str, typer.Option(help="+SPAN, date, or seconds.")] = "+1d",
    end: Annotated[bool, typer.Option("--end", help="End an order before its time.")] = False,
) -> None:
    """Issue an emergency order, or end one."""
    session = session_of(context)
    identifier = hash_of(dataset, "dataset")
    if end:
        steps = acts.end_order(session.ledger, session.key, identifier, reason)
        _done(session, session.run(steps), f"ended {dataset}")
        return
    names = session.run(registered(session.ledger, identifier)).fields
    made = session.run(
        acts.issue_order(
            session.ledger,
            session.key,
            dataset=identifier,
            purpose=hash_of(purpose_id, "purpose"),
            sharing=class_of(sharing),
            fields=mask_of(names, fields),
            starts_at=time_of(starts),
            ends_at=time_of(ends),
            reason=reason,
        )
    )
    _done(session, made.mined, f"order {to_hex(made.id)}", order=to_hex(made.id))


@app.command()
def restrict(
    context: typer.Context,
    consumer: Annotated[str, typer.Argument(help="Address.")],
    *,
    reason: Reason,
    until: Annotated[str, typer.Option(help="+SPAN, date, or seconds.")] = "+1d",
) -> None:
    """Deny every access of a consumer until a time; signed by a regulator."""
    session = session_of(context)
    end = time_of(until)
    address = address_of(consumer, "consumer")
    steps = regulation.restrict(session.ledger, session.key, address, end, reason)
    _done(session, session.run(steps), f"restricted until {moment_text(end)}", until=end)


@app.command()
def lift(
    context: typer.Context,
    consumer: Annotated[str, typer.Argument(help="Address.")],
    *,
    reason: Reason,
) -> None:
    """End a restriction before its time; signed by a regulator."""
    session = session_of(context)
    address = address_of(consumer, "consumer")
    steps = regulation.lift(session.ledger, session.key, address, reason)
    _done(session, session.run(steps), f"lifted for {consumer}")


@app.command()
def review(
    context: typer.Context,
    order_id: Annotated[str, typer.Argument(help="Order.")],
    *,
    findings: Annotated[str, typer.Option(help="Public for ever: it must not name a person.")],
) -> None:
    """Review an emergency order that is over; signed by a regulator."""
    session = session_of(context)
    identifier = hash_of(order_id, "order")
    steps = regulation.review_order(session.ledger, session.key, identifier, findings)
    _done(session, session.run(steps), f"reviewed {order_id}")


@app.command("hand-over")
def hand_over(
    context: typer.Context,
    successor: Annotated[str, typer.Argument(help="Address; `accept` to accept an offer.")],
) -> None:
    """Offer the authority to a successor; the successor says `hand-over accept`."""
    session = session_of(context)
    if successor == "accept":
        steps = acts.accept_authority(session.ledger, session.key)
        _done(session, session.run(steps), "accepted: this account is the authority now")
        return
    address = address_of(successor, "successor")
    steps = acts.offer_authority(session.ledger, session.key, address)
    _done(session, session.run(steps), f"offered to {successor}")


class _Texts(msgspec.Struct, forbid_unknown_fields=True):
    zh: str
    en: str


class _Purpose(msgspec.Struct, forbid_unknown_fields=True):
    code: str
    texts: _Texts
    max_validity: int
    max_uses: int
    retention: int
    min_interval: int = 0


def read_purpose(file: Path) -> PurposeTerms:
    """Return the purpose in a file.

    Raises:
        InputError: there is none.
    """
    data = read_file(file)
    try:
        if file.suffix in (".yaml", ".yml"):
            found = msgspec.yaml.decode(data, type=_Purpose)
        else:
            found = msgspec.json.decode(data, type=_Purpose)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no purpose: {error}") from error
    texts = (Text("zh", found.texts.zh), Text("en", found.texts.en))
    return PurposeTerms(
        found.code,
        texts,
        found.max_validity,
        found.max_uses,
        found.min_interval,
        found.retention,
    )


def _done(session: Session, mined: Mined, line: str, **more: str | int) -> None:
    document = {"transaction": to_hex(mined.transaction), "block_number": mined.block_number}
    session.output.result(document | more, line, f"in block {mined.block_number}")
