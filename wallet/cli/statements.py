"""What a person is shown before signing: the statement word for word, and its terms beside it."""

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ledger.hexes import to_hex
from wallet.citizen.proposal import Proposal, field_names
from wallet.cli.session import Session
from wallet.cli.values import moment_text


def show_proposal(session: Session, proposal: Proposal) -> None:
    """Show a person what it would sign: the statement word for word, and its terms beside it."""
    record = proposal.authorization
    terms = Table.grid(padding=(0, 2))
    rows = (
        ("谁 who", f"{proposal.consumer_name}  {to_hex(record.consumer)}"),
        ("数据 data", proposal.dataset.title),
        ("字段 fields", "\n".join(proposal.fields)),
        ("次数 how often", _how_often(proposal)),
        ("有效期至 until", moment_text(record.expires_at)),
        ("留言 message", proposal.asked.ask.message or "-"),
        ("请求 request", proposal.asked.request),
    )
    for name, value in rows:
        terms.add_row(Text(name, style="bold"), Text(value))
    statement = Text(f"{proposal.statement.zh}\n\n{proposal.statement.en}\n\n")
    statement.append(f"授权编号 Reference: {proposal.statement.reference}", style="dim")
    session.output.show(Panel(statement, title="您将签署 You would sign"))
    session.output.show(terms)
    if not proposal.on_own_node:
        session.output.warn(
            "the consumer's and the dataset's names are the gateway's word (no --node)"
        )


def _how_often(proposal: Proposal) -> str:
    record = proposal.authorization
    often = f"{record.max_uses}"
    return often + (f", every {record.min_interval} s at most" if record.min_interval else "")


def proposal_document(proposal: Proposal) -> dict[str, object]:
    """Return the same for machines."""
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
