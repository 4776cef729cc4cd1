"""`quancheng authority`: parties, purposes, orders; and the regulator's restrictions and reviews."""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import typer

from ledger.chain import contract_calls
from ledger.chain.events import PurposeTerms, Text
from ledger.hexstr import to_hex
from ledger.jsonio import UNREADABLE
from ledger.model import Change
from wallet.authority import acts
from wallet.cli.keys import key
from wallet.cli.output import (
    address_of,
    class_of,
    hash_of,
    moment_text,
    read_file,
    roles_of,
    time_of,
)
from wallet.cli.session import Session, session_of
from wallet.errors import InputError

app = typer.Typer(
    help="The city's data bureau, and the regulator's restrictions.", no_args_is_help=True
)
app.command("key")(key)

ADMISSION: Final = "admission"
_CHANGES: Final = {
    "authority": Change.AUTHORITY,
    "verifier": Change.VERIFIER,
    "successor": Change.SUCCESSOR,
}

ChangeName = Literal["authority", "verifier", "successor"]
VetoedName = Literal["admission", "authority", "verifier", "successor"]
RetractedName = Literal["admission", "verifier", "successor"]
ChangeArgument = Annotated[ChangeName, typer.Argument(help="What changes.")]
FirstArgument = Annotated[
    str,
    typer.Argument(
        help="Address: the next authority; a verifier; the identity authority that is succeeded."
    ),
]
SecondArgument = Annotated[
    str, typer.Argument(help="Of a successor: the identity authority that acts for the first.")
]
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
    """Admit a party with exactly these roles, or change them.

    A regulator or an identity authority is announced: `activate` it once it is due and before it
    lapses. While that is pending the party is not admitted otherwise: `retract` it first.
    """
    session = session_of(context)
    address = address_of(party, "party")
    bureau = session.anybody
    done = bureau.run(acts.admit(bureau.ledger, bureau.key, address, roles_of(roles), name))
    what = f"admitted {party}" if done.effective_at == 0 else f"announced {party}"
    _announced(session, done, what, then=f"authority activate {party}")


@app.command()
def activate(
    context: typer.Context, party: Annotated[str, typer.Argument(help="Address.")]
) -> None:
    """Make an announced admission take effect once it is due and until it lapses; anybody may."""
    call = contract_calls.activate(address_of(party, "party"))
    session_of(context).act(call, f"admitted {party}")


@app.command()
def announce(
    context: typer.Context,
    change: ChangeArgument,
    first: FirstArgument,
    second: SecondArgument = "",
) -> None:
    """Announce a change that a regulator can veto: next authority, verifier, successor.

    Make it by `change` once it is due and before it lapses. A next authority cannot be retracted
    (a thief of your key could too), and takes over nothing that you announced else.
    """
    session = session_of(context)
    about = _change(change, first, second)
    bureau = session.anybody
    done = bureau.run(acts.announce_change(bureau.ledger, bureau.key, *about))
    then = f"authority change {change} {first} {second}".rstrip()
    _announced(session, done, f"announced {change} {first}", then=then)


@app.command("change")
def make_change(
    context: typer.Context,
    change: ChangeArgument,
    first: FirstArgument,
    second: SecondArgument = "",
) -> None:
    """Make an announced change, once due and until it lapses; the next authority signs its own."""
    call = contract_calls.make_change(*_change(change, first, second))
    session_of(context).act(call, f"made: {change} {first}")


@app.command()
def veto(
    context: typer.Context,
    change: Annotated[VetoedName, typer.Argument(help="What was announced.")],
    first: Annotated[str, typer.Argument(help="Address that it is about.")],
    second: SecondArgument = "",
    *,
    reason: Reason,
) -> None:
    """Stop what was announced before it is due; signed by a regulator."""
    if change == ADMISSION:
        call = contract_calls.veto_admission(address_of(first, "party"), reason)
    else:
        call = contract_calls.veto_change(*_change(change, first, second), reason)
    session_of(context).act(call, f"vetoed: {change} {first}")


@app.command()
def retract(
    context: typer.Context,
    change: Annotated[RetractedName, typer.Argument(help="What was announced.")],
    first: Annotated[str, typer.Argument(help="Address that it is about.")],
    second: SecondArgument = "",
) -> None:
    """Take back what you announced, due or not. A next authority stands: a regulator vetoes it."""
    if change == ADMISSION:
        call = contract_calls.retract_admission(address_of(first, "party"))
    else:
        call = contract_calls.retract_change(*_change(change, first, second))
    session_of(context).act(call, f"retracted: {change} {first}")


@app.command()
def withdraw(
    context: typer.Context, party: Annotated[str, typer.Argument(help="Address.")]
) -> None:
    """Withdraw a party."""
    session_of(context).act(
        contract_calls.withdraw(address_of(party, "party")), f"withdrew {party}"
    )


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
        session.act(contract_calls.retire_purpose(hash_of(retire, "purpose")), f"retired {retire}")
        return
    if file is None:
        raise InputError("name the purpose's FILE, or --retire ID")
    bureau, terms = session.anybody, read_purpose(file)
    made = bureau.run(acts.register_purpose(bureau.ledger, bureau.key, terms))
    session.done(made.mined, f"purpose {to_hex(made.id)}", purpose=to_hex(made.id))


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
    mask = session.mask(session.anybody, identifier, fields)
    call = contract_calls.bind_fields(hash_of(purpose_id, "purpose"), identifier, mask)
    session.act(call, f"bound {mask.bit_count()} fields")


@app.command()
def order(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Dataset; with --end an order's id.")],
    *,
    reason: Reason,
    purpose_id: Annotated[str, typer.Option("--purpose", help="Purpose of the emergency.")] = "",
    sharing: Annotated[
        str, typer.Option(help="Class while it is in force; NotShared closes, for no purpose.")
    ] = "Conditional",
    fields: Annotated[str, typer.Option(help="Fields that it opens.")] = "all",
    starts: Annotated[str, typer.Option(help="+SPAN, date, or seconds.")] = "+0s",
    ends: Annotated[str, typer.Option(help="+SPAN, date, or seconds.")] = "+1d",
    end: Annotated[bool, typer.Option("--end", help="End an order before its time.")] = False,
) -> None:
    """Issue an emergency order, or end one. One that opens a dataset waits for a regulator."""
    session = session_of(context)
    identifier = hash_of(dataset, "dataset")
    if end:
        session.act(contract_calls.end_order(identifier, reason), f"ended {dataset}")
        return
    bureau = session.anybody
    made = bureau.run(
        acts.issue_order(
            bureau.ledger,
            bureau.key,
            dataset=identifier,
            purpose=hash_of(purpose_id, "purpose") if purpose_id else bytes(32),
            sharing=class_of(sharing),
            fields=session.mask(bureau, identifier, fields),
            starts_at=time_of(starts),
            ends_at=time_of(ends),
            reason=reason,
        )
    )
    session.done(made.mined, f"order {to_hex(made.id)}", order=to_hex(made.id))


@app.command()
def countersign(
    context: typer.Context, order_id: Annotated[str, typer.Argument(help="Order.")]
) -> None:
    """Put an emergency order in force that opens a dataset; signed by a regulator."""
    call = contract_calls.countersign_order(hash_of(order_id, "order"))
    session_of(context).act(call, f"in force: {order_id}")


@app.command()
def restrict(
    context: typer.Context,
    consumer: Annotated[str, typer.Argument(help="Address.")],
    *,
    reason: Reason,
    until: Annotated[str, typer.Option(help="+SPAN, date, or seconds.")] = "+1d",
) -> None:
    """Deny every access of a consumer until a time; signed by a regulator."""
    end = time_of(until)
    call = contract_calls.restrict(address_of(consumer, "consumer"), end, reason)
    session_of(context).act(call, f"restricted until {moment_text(end)}", until=end)


@app.command()
def lift(
    context: typer.Context,
    consumer: Annotated[str, typer.Argument(help="Address.")],
    *,
    reason: Reason,
) -> None:
    """End a restriction before its time; signed by a regulator."""
    call = contract_calls.lift(address_of(consumer, "consumer"), reason)
    session_of(context).act(call, f"lifted for {consumer}")


@app.command()
def review(
    context: typer.Context,
    order_id: Annotated[str, typer.Argument(help="Order.")],
    *,
    findings: Annotated[str, typer.Option(help="Public for ever: it must not name a person.")],
) -> None:
    """Review an emergency order that is over; signed by a regulator."""
    call = contract_calls.review_order(hash_of(order_id, "order"), findings)
    session_of(context).act(call, f"reviewed {order_id}")


@app.command()
def supervisor(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="Account of the machine.")],
    *,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="Take it back.")] = False,
) -> None:
    """Let a machine suspend agreements for 30 minutes each; signed by a regulator."""
    change = contract_calls.dismiss_supervisor if dismiss else contract_calls.appoint_supervisor
    call = change(address_of(address, "supervisor"))
    session_of(context).act(call, f"{'dismissed' if dismiss else 'appointed'} {address}")


@app.command("review-suspension")
def review_suspension(
    context: typer.Context,
    agreement: Annotated[str, typer.Argument(help="Agreement.")],
    *,
    until: Annotated[
        str, typer.Option(help="Until when it goes on, at most as set; 0 ends it.")
    ] = "0",
    findings: Annotated[str, typer.Option(help="Public for ever: it must not name a person.")],
) -> None:
    """Look at the suspension of an agreement; signed by a regulator."""
    identifier = hash_of(agreement, "agreement")
    call = contract_calls.review_suspension(identifier, time_of(until), findings)
    session_of(context).act(call, f"looked at {agreement}")


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
    """Return the purpose in a file."""
    decode = msgspec.yaml.decode if file.suffix in (".yaml", ".yml") else msgspec.json.decode
    try:
        purpose = decode(read_file(file), type=_Purpose)
    except UNREADABLE as error:
        raise InputError(f"{file} is no purpose: {error}") from error
    return PurposeTerms(
        purpose.code,
        (Text("zh", purpose.texts.zh), Text("en", purpose.texts.en)),
        purpose.max_validity,
        purpose.max_uses,
        purpose.min_interval,
        purpose.retention,
    )


def _change(name: str, first: str, second: str) -> tuple[Change, bytes, bytes]:
    change = _CHANGES[name]
    if (change is Change.SUCCESSOR) != bool(second):
        raise InputError("a successor is two addresses, any other change one")
    other = address_of(second, "successor") if second else bytes(20)
    return change, address_of(first, name), other


def _announced(session: Session, announced: acts.Announced, line: str, *, then: str) -> None:
    mined, due, lapse = announced.mined, announced.effective_at, announced.lapses_at
    if due == 0:
        session.done(mined, line, effective_at=0)
    elif due is None or lapse is None:
        session.done(mined, f"{line}; once it is due, and before it lapses: quancheng {then}")
    else:
        span = f"from {moment_text(due)} until {moment_text(lapse)}"
        more = f"{line}; {span}, unless vetoed: quancheng {then}"
        session.done(mined, more, effective_at=due, lapses_at=lapse)
