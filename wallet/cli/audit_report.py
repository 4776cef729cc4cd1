"""What the audit's commands say of a replay: all of them the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ledger.hexes import to_hex
from ledger.replay import ReplayReport
from wallet.cli.errors import DifferencesError
from wallet.cli.session import Session

WORD_OF_A_TRAIL: Final = (
    "their hashes and times are the word of whoever made the file; nothing in it proves them"
)
_SHOWN: Final = 50


def show_report(session: Session, report: ReplayReport, trail: Path | None) -> None:
    """Say what a replay found."""
    show_differences(session, report)
    session.output.result(report_document(report), *report_lines(report, trail))


def show_with_report(
    session: Session,
    report: ReplayReport,
    trail: Path | None,
    document: Mapping[str, object],
    *lines: str,
) -> None:
    """Say what came out of a reading, and what the replay that read it found."""
    show_differences(session, report)
    whole = {**document, "replay": report_document(report)}
    session.output.result(whole, *lines, *report_lines(report, trail))


def require_clean(report: ReplayReport) -> None:
    """End the command with its exit code.

    Raises:
        DifferencesError: the replay found something.
    """
    if not report.is_clean:
        raise DifferencesError(f"replay found {report.finding_count} differences")


def show_differences(session: Session, report: ReplayReport) -> None:
    """List what is wrong, the first of it."""
    if not report.is_clean:
        rows = [(one.kind.value, one.problem) for one in report.findings[:_SHOWN]]
        session.output.table(f"Differences ({report.finding_count:,})", ("kind", "what"), rows)


def report_document(report: ReplayReport) -> dict[str, object]:
    """Return what a replay found, for machines."""
    return {
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


def report_lines(report: ReplayReport, trail: Path | None) -> tuple[str, ...]:
    """Return the same for people."""
    return (
        f"replayed    {report.logs:,} events, {report.accesses:,} accesses, "
        f"blocks {report.first_block} to {report.last_block}",
        f"end         {report.end.known}",
        f"whole       {report.end_check}",
        f"blocks      {WORD_OF_A_TRAIL if trail else 'hashes and times are those that the node has'}",
        f"journals    {', '.join(report.journals) or 'none: no signature was checked'}",
        f"signatures  {report.signatures:,} of {report.accesses:,} checked",
        f"voided      {report.void_check}",
        f"statements  {report.statement_check}",
        f"verdict     {'no difference' if report.is_clean else 'DIFFERENCES'}",
    )
