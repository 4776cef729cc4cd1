"""What a person is shown before signing: the statement word for word, and its terms beside it."""

from ledger.hexes import to_hex
from wallet.citizen.proposal import Proposal, field_names
from wallet.cli.output import Output
from wallet.cli.values import moment_text


def show_proposal(output: Output, proposal: Proposal) -> None:
    """Show a person what it would sign: the statement word for word, and its terms beside it."""
    record = proposal.authorization
    statement = proposal.statement
    reference = f"授权编号 Reference: {statement.reference}"
    output.statement("您将签署 You would sign", (statement.zh, statement.en, reference))
    output.terms(
        (
            ("谁 who", (proposal.consumer_name, to_hex(record.consumer))),
            ("数据 data", (proposal.dataset.title, to_hex(record.dataset))),
            ("字段 fields", proposal.fields),
            ("次数 how often", (_how_often(proposal),)),
            ("有效期至 until", (moment_text(record.expires_at),)),
            ("留言 message", (proposal.asked.ask.message or "-",)),
            ("请求 request", (proposal.asked.request,)),
        )
    )
    if not proposal.on_own_node:
        output.warn("the consumer's and the dataset's names are the gateway's word (no --node)")


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
