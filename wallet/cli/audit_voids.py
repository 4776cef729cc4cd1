"""What `quancheng audit void` shows."""

from collections.abc import Sequence

from ledger.enumerations import VoidGround
from ledger.hexes import to_hex
from ledger.replay import Voidable
from wallet.cli.output import short
from wallet.cli.session import Session
from wallet.cli.values import moment_text

_GROUNDS = {VoidGround.UNSIGNED: "unsigned", VoidGround.NEVER_HANDED_OUT: "never handed out"}


def show_voids(
    session: Session,
    uses: Sequence[tuple[Voidable, str]],
    passed: Sequence[tuple[Voidable, str]],
) -> None:
    """Show uses that were given back, with their transactions, or may be, with none.

    Args:
        session: of the command.
        uses: each with its transaction; empty where none was sent.
        passed: those that were passed over, each with the reason.
    """
    session.output.table(
        "Uses",
        ("access", "authorization", "ground", "last use then", "transaction"),
        [
            (
                use.sequence,
                short(to_hex(use.authorization)),
                _GROUNDS[use.ground],
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
            "ground": _GROUNDS[use.ground],
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
