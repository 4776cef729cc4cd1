"""`quancheng wallet`: what a person or an enterprise sees and decides."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ledger.hexstr import from_hex, to_hex
from wallet.citizen import acts
from wallet.citizen.acts import MAX_SECONDS, spread
from wallet.citizen.enrolment import NewId, add_ids, enrol_person
from wallet.citizen.history import contradictions, lookups
from wallet.citizen.identities import Identity, PersonKeys, SignerKind
from wallet.citizen.proposal import (
    Less,
    Proposal,
    Unspeakable,
    field_names,
)
from wallet.cli.output import (
    GATEWAYS_WORD,
    Output,
    PersonFile,
    hash_of,
    mask_of,
    moment_text,
    named,
    person_of,
    release_text,
    time_of,
    write_file,
)
from wallet.cli.session import Session, session_of
from wallet.client.authorities import identity_authority
from wallet.client.consent_requests import Asked, new_handle
from wallet.client.errors import ErrorKind, ProblemError
from wallet.client.identity import SignedOpening, recovery_text
from wallet.client.relays import Act, my_receipt
from wallet.client.signers import approve, asking, prove
from wallet.client.transactions import Mined
from wallet.errors import InputError, PartyError
from wallet.parties import Citizen

app = typer.Typer(help="A person's or an enterprise's wallet.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", help="Sign without asking.")]
Over = Annotated[
    int,
    typer.Option(
        min=0,
        max=MAX_SECONDS,
        help="Seconds over which several ids change, so that nobody sees that they are one person's.",
    ),
]
_UNHURRIED = 600
Subject = Annotated[str, typer.Option(help="Which of the wallet's ids; all if not given.")]


@app.command()
def new(
    context: typer.Context,
    *,
    count: Annotated[int, typer.Option(help="How many ids.")] = 1,
    passkey: Annotated[
        bool, typer.Option("--passkey", help="Passkeys instead of accounts.")
    ] = False,
    keep_for: Annotated[str, typer.Option(help="any, one, or a consumer's address.")] = "any",
    enrol: Annotated[str, typer.Option(help="Code from the counter.")] = "",
    more: Annotated[
        bool, typer.Option("--more", help="More ids for a person that has one.")
    ] = False,
    recovery: Annotated[
        Path | None, typer.Option(help="Write the new signers here, for the counter.")
    ] = None,
    person: PersonFile = None,
) -> None:
    """Draw keys; with --enrol CODE, --more or --recovery FILE put them to use. Without: show the ids."""
    session, me = _person(context)
    keys = me.keys
    if not (enrol or more or recovery):
        me.run(keys.refresh())
        _show_ids(session, keys)
        return
    kind = SignerKind.PASSKEY if passkey else SignerKind.ACCOUNT
    before = keys.identities.active
    drawn = [keys.draw(kind, keep_for) for _ in range(count)]
    if recovery is not None:
        authority = me.run(identity_authority(me.ledger))
        text = recovery_text(authority, person_of(person))
        proven = [prove(keys.signer(identity), text, keep_for) for identity in drawn]
        write_file(recovery, msgspec.json.encode(proven), private=True)
        session.output.result(
            {"signers": str(recovery), "count": count},
            f"{count} new keys; take {recovery} to the counter",
        )
        return
    ids = [NewId(keys.signer(identity), identity.keep_for) for identity in drawn]
    if more:
        if not before:
            raise InputError("the wallet has no id yet: enrol first")
        mine, signer = before[0].subject_id, keys.signer(before[0])
        subjects = me.run(add_ids(me.ledger, mine, signer, ids))
    else:
        subjects = me.run(enrol_person(me.ledger, person_of(person), enrol, ids))
    keys.note_subjects(subjects)
    _show_ids(session, keys)


@app.command()
def handle(context: typer.Context, subject: Subject = "") -> None:
    """Get a handle to hand over to a consumer in person, instead of being looked up."""
    session, me = _person(context)
    keys = me.keys
    identity = _chosen(keys, subject)[0]
    drawn = me.run(asking(keys.signer(identity), new_handle(identity.subject_id)))
    session.output.result(
        drawn, f"handle      {drawn.handle}", f"good until  {moment_text(drawn.expires_at)}"
    )


@app.command("inbox")
def show_inbox(context: typer.Context) -> None:
    """Show who asks for what: the exact statement, the fields, how often, until when."""
    session, me = _person(context)
    proposals = []
    for each in me.inbox():
        if isinstance(each, Unspeakable):
            session.output.warn(f"request {each.asked.request} cannot be shown: {each.why}")
        else:
            proposals.append(each)
    session.output.result([_proposal_document(proposal) for proposal in proposals])
    if not session.options.machine:
        for proposal in proposals:
            show_proposal(session.output, proposal)
        if not proposals:
            session.output.say("nothing waits for an answer")


@app.command()
def grant(
    context: typer.Context,
    request: Annotated[str, typer.Argument(help="Id of the request, from the inbox.")],
    *,
    fields: Annotated[str, typer.Option(help="Fewer fields than asked for.")] = "",
    uses: Annotated[int | None, typer.Option(help="Fewer uses.")] = None,
    until: Annotated[str, typer.Option(help="A nearer end: +SPAN, date, seconds.")] = "",
    yes: Yes = False,
) -> None:
    """Show what would be signed; sign it, and bring it on chain."""
    session, me = _person(context)
    asked = _asked(me, request)
    first = me.propose(asked)
    less = Less(
        fields=mask_of(first.dataset.fields, fields) if fields else None,
        max_uses=uses,
        expires_at=time_of(until) if until else None,
    )
    proposal = me.propose(asked, less)
    try:
        done = _sign(session, me, proposal, yes=yes)
    except ProblemError as error:
        if error.kind != ErrorKind.STATEMENT_MISMATCH:
            raise
        renamed = me.propose(asked, less)
        if renamed.statement == proposal.statement:
            raise
        session.output.warn("the consumer has another name on chain by now: nothing was granted")
        # Whoever agreed unseen did not agree to this sentence.
        done = _sign(session, me, renamed, yes=False)
    session.output.result(
        {
            "authorization": to_hex(done.id),
            "statement": done.record.statement,
            "transaction": to_hex(done.mined.transaction),
            "block_number": done.mined.block_number,
        },
        f"granted {to_hex(done.id)}",
        f"in block {done.mined.block_number}",
    )


def _sign(
    session: Session, me: Citizen, proposal: Proposal, *, yes: bool
) -> acts.GrantedAuthorization:
    if not session.options.machine:
        show_proposal(session.output, proposal)
    session.confirm("Sign this?", yes=yes)
    return me.grant(proposal)


@app.command()
def refuse(
    context: typer.Context,
    request: Annotated[str, typer.Argument(help="Id of the request.")],
    reason: Annotated[str, typer.Option(help="The consumer sees it.")] = "",
) -> None:
    """Refuse what a consumer asks for; nothing gets on chain."""
    session, me = _person(context)
    me.refuse(_asked(me, request), reason)
    session.output.result({"request": request, "state": "refused"}, "refused")


@app.command()
def revoke(
    context: typer.Context,
    authorization: Annotated[str, typer.Argument(help="Id of what was granted.")],
    *,
    yes: Yes = False,
) -> None:
    """End an authorization: from the next block on it opens nothing."""
    session, me = _person(context)
    identifier = hash_of(authorization, "authorization")
    identity = _granter(me, authorization)
    session.confirm("Revoke it for good?", yes=yes)
    _carry_out(session, me, [identity], lambda id_: acts.revocation(id_, identifier), "revoked")


@app.command()
def confirm(
    context: typer.Context,
    authorization: Annotated[str, typer.Argument(help="Id of what the old key granted.")],
    *,
    yes: Yes = False,
) -> None:
    """Let an authorization of a replaced key count again."""
    session, me = _person(context)
    identity = _granter(me, authorization)
    session.confirm("Let it count again?", yes=yes)
    granted = hash_of(authorization, "authorization")
    _carry_out(session, me, [identity], lambda id_: acts.confirmation(id_, granted), "confirmed")


@app.command()
def freeze(
    context: typer.Context,
    subject: Subject = "",
    *,
    end: Annotated[bool, typer.Option("--end", help="Let everything go on.")] = False,
    over: Over = 0,
) -> None:
    """Stop every use of one's data, at once; --end lets it go on."""
    session, me = _person(context)
    keys = me.keys
    done = "unfrozen" if end else "frozen"
    chosen = _chosen(keys, subject)
    _carry_out(session, me, chosen, lambda id_: acts.freeze(id_, frozen=not end), done, over)


@app.command()
def rotate(
    context: typer.Context,
    subject: Subject = "",
    *,
    passkey: Annotated[bool, typer.Option("--passkey", help="To a passkey.")] = False,
    over: Over = _UNHURRIED,
    yes: Yes = False,
) -> None:
    """Replace the keys of the wallet's ids by new ones, and appoint their guardians anew; finishes first what was begun."""
    session, me = _person(context)
    keys = me.keys
    session.confirm("Replace the keys?", yes=yes)
    kind = SignerKind.PASSKEY if passkey else SignerKind.ACCOUNT
    chosen, again = acts.begin(keys, _chosen(keys, subject), kind)
    documents = []
    for pause, identity in spread(chosen, over):
        time.sleep(pause)
        steps = acts.rotate(me.city.deployment, keys, identity, int(time.time()), again=again)
        documents += [_document(what, mined) for what, mined in me.run(steps)]
    _show_acts(session, "rotated", documents)


@app.command()
def veto(
    context: typer.Context,
    new_signer: Annotated[str, typer.Argument(help="The signer that somebody wants to put in.")],
    subject: Subject = "",
    *,
    over: Over = _UNHURRIED,
) -> None:
    """Stop a recovery that one did not ask for."""
    session, me = _person(context)
    keys = me.keys
    signer = from_hex(new_signer)
    chosen = _chosen(keys, subject)
    _carry_out(session, me, chosen, lambda id_: acts.veto(id_, signer), "vetoed", over)


@app.command()
def guardian(
    context: typer.Context,
    signer: Annotated[str, typer.Argument(help="The guardian's address or signer bytes.")],
    until: Annotated[str, typer.Option(help="+SPAN, date, seconds; 0 dismisses.")] = "+52w",
    subject: Subject = "",
    *,
    over: Over = _UNHURRIED,
    yes: Yes = False,
) -> None:
    """Let somebody else sign too, until a time: with another key for each id, or it would join them."""
    session, me = _person(context)
    keys, end = me.keys, 0 if until == "0" else time_of(until)
    guard, chosen = from_hex(signer), _chosen(keys, subject)
    _require_unjoined(keys, chosen, to_hex(guard))
    session.confirm(f"Let {signer} sign until {moment_text(end)}?", yes=yes or not end)
    _carry_out(
        session,
        me,
        chosen,
        lambda id_: acts.appointment(id_, guard, end),
        "appointed" if end else "dismissed",
        over,
        lambda identity: keys.identities.note_guard(identity.entry, guard, end),
    )


@app.command("history")
def show_history(
    context: typer.Context,
    *,
    granted: Annotated[bool, typer.Option("--granted", help="What was granted instead.")] = False,
    looked_up: Annotated[
        bool, typer.Option("--lookups", help="Who looked the person up instead.")
    ] = False,
) -> None:
    """Show what happened around all of the person's ids, the newest first."""
    session, me = _person(context)
    if granted:
        _show_granted(session, me)
        return
    if looked_up:
        seen = me.run(lookups(me.keys.signers()))
        session.output.result(seen)
        session.output.table(
            "Look-ups",
            ("when", "consumer", "case", "outcome"),
            [
                (moment_text(each.at), each.consumer, each.case_number, each.outcome)
                for each in seen
            ],
        )
        return
    entries = me.history()
    session.output.warn(GATEWAYS_WORD)
    session.output.result(entries)
    session.output.table(
        "History",
        ("when", "what", "who", "dataset", "outcome", "release", "sequence"),
        [
            (
                moment_text(entry.at),
                entry.kind,
                named(entry.consumer_name, entry.consumer),
                named(entry.dataset_title, entry.dataset),
                entry.outcome,
                release_text(entry.release, voided=entry.voided),
                entry.sequence or "",
            )
            for entry in entries
        ],
    )


@app.command()
def receipt(
    context: typer.Context,
    access: Annotated[str, typer.Argument(help="Id of the access, from the history.")],
    out: Annotated[Path | None, typer.Option(help="Write it to a file.")] = None,
) -> None:
    """Get the receipt of an access (ISO/IEC TS 27560)."""
    session, me = _person(context)
    text = _receipt(me, hash_of(access, "access"))
    if out is not None:
        write_file(out, text, private=True)
        session.output.result({"file": str(out)}, f"written to {out}")
        return
    session.output.document(text)


@app.command()
def reopen(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="File to take to the counter.")],
    *,
    subject: Annotated[str, typer.Option(help="Which of the wallet's ids.")],
    yes: Yes = False,
) -> None:
    """Agree that a closed id is opened again; the identity authority's officer sends it within the hour."""
    session, me = _person(context)
    keys = me.keys
    identity = _chosen(keys, subject)[0]
    session.confirm("Agree that this id is opened again?", yes=yes)
    terms = acts.opening(identity.subject_id)
    approval = approve(keys.signer(identity), terms, me.city.deployment)
    signed = SignedOpening(
        subject=to_hex(terms.subject),
        nonce=to_hex(terms.nonce),
        deadline=terms.deadline,
        signer=to_hex(approval.signer),
        signature=to_hex(approval.signature),
    )
    write_file(out, msgspec.json.encode(signed), private=True)
    session.output.result({"file": str(out)}, f"take {out} to the counter within the hour")


# Help


def show_proposal(output: Output, proposal: Proposal) -> None:
    """Show a person what it would sign: the statement word for word, and its terms beside it."""
    record = proposal.authorization
    statement = proposal.statement
    often = f"{record.max_uses}"
    if record.min_interval:
        often += f", every {record.min_interval} s at most"
    reference = f"授权编号 Reference: {statement.reference}"
    output.statement("您将签署 You would sign", (statement.zh, statement.en, reference))
    output.terms(
        (
            ("谁 who", (proposal.consumer_name, to_hex(record.consumer))),
            ("数据 data", (proposal.dataset.title, to_hex(record.dataset))),
            ("字段 fields", proposal.fields),
            ("次数 how often", (often,)),
            ("有效期至 until", (moment_text(record.expires_at),)),
            ("留言 message", (proposal.asked.ask.message or "-",)),
            ("请求 request", (proposal.asked.request,)),
        )
    )
    if not proposal.on_own_node:
        output.warn("the consumer's and the dataset's names are the gateway's word (no --node)")


def _proposal_document(proposal: Proposal) -> dict[str, object]:
    record = proposal.authorization
    return {
        "request": proposal.asked.request,
        "subject": to_hex(record.subject),
        "consumer": to_hex(record.consumer),
        "consumer_name": proposal.consumer_name,
        "dataset": to_hex(record.dataset),
        "dataset_title": proposal.dataset.title,
        "fields": field_names(proposal.dataset, record.fields),
        "purpose": proposal.purpose.code,
        "statement": proposal.statement.text,
        "statement_zh": proposal.statement.zh,
        "statement_en": proposal.statement.en,
        "max_uses": record.max_uses,
        "min_interval": record.min_interval,
        "expires_at": record.expires_at,
        "case_number": proposal.asked.ask.case_number,
        "message": proposal.asked.ask.message,
        "names_checked": proposal.on_own_node,
    }


def _person(context: typer.Context) -> tuple[Session, Citizen]:
    session = session_of(context)
    return session, session.party(Citizen)


def _asked(me: Citizen, request: str) -> Asked:
    for asked in me.waiting():
        if asked.request == request:
            return asked
    raise InputError(f"no request {request} waits in the inbox")


def _granter(me: Citizen, authorization: str) -> Identity:
    active = me.keys.identities.active
    if len(active) == 1:
        return active[0]
    for granted in me.authorizations():
        if granted.id == authorization:
            return me.keys.identities.of_subject(hash_of(granted.subject, "subject"))
    raise InputError("none of the wallet's ids granted this")


def _require_unjoined(keys: PersonKeys, chosen: Sequence[Identity], guard: str) -> None:
    """Check that no two ids get the same guardian's key: its hash on both would say that they are one person's."""
    places = {identity.subject for identity in chosen}
    guarded = {
        identity.subject
        for identity in keys.identities.active
        for each in identity.guards
        if each.signer == guard
    }
    if len(places | guarded) > 1:
        raise InputError(
            "the same key on several ids would show that they are one person's: ask the guardian for "
            "another key for each id, and name the id with --subject"
        )


def _chosen(keys: PersonKeys, subject: str) -> tuple[Identity, ...]:
    if not subject:
        if not keys.identities.active:
            raise PartyError("Citizen", "the wallet has no registered id: enrol first")
        return keys.identities.active
    return (keys.identities.of_subject(hash_of(subject, "subject")),)


def _carry_out(
    session: Session,
    me: Citizen,
    chosen: Sequence[Identity],
    make: Callable[[bytes], Act],
    done: str,
    over: int = 0,
    then: Callable[[Identity], None] = lambda _identity: None,
) -> None:
    """Sign an act on each id, and bring them on chain in random order; say so once all are there.

    Args:
        session: of the command.
        me: the person.
        chosen: ids.
        make: returns the act on an id. Only when it is sent: acts with one deadline would join the ids.
        done: the word for acts that are on chain.
        over: seconds over which acts on several ids are spread.
        then: called with each id whose act is on chain.
    """
    documents = []
    for pause, identity in spread(chosen, over):
        time.sleep(pause)
        what = make(identity.subject_id)
        mined = me.act(what)
        then(identity)
        documents.append(_document(what, mined))
    _show_acts(session, done, documents)


def _document(what: Act, mined: Mined) -> dict[str, object]:
    return {
        "subject": to_hex(what.subject),
        "act": type(what).__name__,
        "transaction": to_hex(mined.transaction),
        "block_number": mined.block_number,
    }


def _show_acts(session: Session, done: str, documents: Sequence[dict[str, object]]) -> None:
    lines = [f"{done}: {each['subject']}, in block {each['block_number']}" for each in documents]
    session.output.result({"done": done, "acts": documents}, *lines)


def _receipt(me: Citizen, access: bytes) -> bytes:
    """Return a receipt: the id that granted the access gets it."""
    problem: ProblemError | None = None
    for signer in me.keys.signers():
        try:
            return me.run(asking(signer, my_receipt(access)))
        except ProblemError as error:
            if error.kind not in (ErrorKind.NOT_FOUND, ErrorKind.FORBIDDEN):
                raise
            problem = error
    raise problem or InputError("the wallet has no id that could ask")


def _show_granted(session: Session, me: Citizen) -> None:
    granted = me.authorizations()
    if me.ledger.own_node:
        subjects = [identity.subject_id for identity in me.keys.identities.active]
        for problem in me.run(contradictions(me.ledger, subjects, granted)):
            session.output.warn(problem)
    else:
        session.output.warn(GATEWAYS_WORD)
    session.output.result(granted)
    session.output.table(
        "Granted",
        ("authorization", "who", "dataset", "fields", "uses", "until", "state"),
        [
            (
                each.id,
                named(each.consumer_name, each.consumer),
                named(each.dataset_title, each.dataset),
                int(each.fields).bit_count(),
                f"{each.uses} of {each.max_uses}",
                moment_text(each.expires_at),
                "revoked" if each.revoked else "halted" if each.halted else "",
            )
            for each in granted
        ],
    )


def _show_ids(session: Session, keys: PersonKeys) -> None:
    session.output.result(keys.identities.all)
    session.output.table(
        "Ids",
        ("key", "kind", "subject", "kept for", ""),
        [
            (
                identity.entry,
                identity.kind.value,
                identity.subject or "not registered",
                identity.keep_for,
                f"replaced by {identity.replaced_by}" if identity.replaced_by else "",
            )
            for identity in keys.identities.all
        ],
    )
