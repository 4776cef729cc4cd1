"""A report for people: one HTML file, nothing loaded from elsewhere, every text escaped."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from ledger.deployment import Deployment
from ledger.escaping import escape_html
from ledger.replay import ReplayReport
from wallet.regulator.exports import AccessRow

_MOST_ROWS: Final = 2000
_STYLE: Final = """
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top; }
code { font-size: 12px; overflow-wrap: anywhere; }
.good { color: #0a6b2d; } .bad { color: #a3121f; }
"""


class Summary(msgspec.Struct):
    """What a report counts while rows pass."""

    accesses: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    consumers: Counter[str] = msgspec.field(default_factory=Counter)
    datasets: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, row: AccessRow) -> None:
        """Count one access."""
        self.accesses += 1
        self.outcomes[row.outcome] += 1
        self.consumers[row.consumer_name or row.consumer] += 1
        self.datasets[row.dataset_title or row.dataset or "unknown"] += 1


def make_report(deployment: Deployment, replay: ReplayReport, rows: Iterable[AccessRow]) -> str:
    """Return a report as HTML.

    Args:
        deployment: the contracts.
        replay: its result.
        rows: all accesses; the newest `_MOST_ROWS` are listed.
    """
    summary, newest = Summary(), []
    for row in rows:
        summary.add(row)
        newest.append(row)
        if len(newest) > 2 * _MOST_ROWS:
            del newest[:_MOST_ROWS]
    parts = [
        _trial(deployment),
        _verdict(replay),
        _facts(deployment, replay),
        _findings(replay),
        _counts("Outcomes 结果", summary.outcomes),
        _counts("Consumers 使用方", summary.consumers),
        _counts("Datasets 数据目录", summary.datasets),
        _accesses(newest[-_MOST_ROWS:]),
    ]
    body = "\n".join(parts)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>Quancheng audit</title><style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>全程追溯报告 Audit report</h1>\n{body}\n</body></html>\n"
    )


def _trial(deployment: Deployment) -> str:
    if not deployment.trial:
        return ""
    return (
        '<p class="bad"><strong>This deployment is a trial: no party\'s power is bounded.</strong> '
        "本部署为试运行：任何一方的权力均不受约束。</p>"
    )


def _verdict(replay: ReplayReport) -> str:
    if replay.is_clean:
        return '<p class="good"><strong>Replay found no difference.</strong> 重放未发现差异。</p>'
    return (
        f'<p class="bad"><strong>Replay found {replay.finding_count} differences.</strong> '
        f"重放发现 {replay.finding_count} 处差异。</p>"
    )


def _facts(deployment: Deployment, replay: ReplayReport) -> str:
    facts = (
        ("chain", str(deployment.chain_id)),
        ("trial", deployment.trial_text),
        ("blocks", f"{replay.first_block} to {replay.last_block}"),
        ("events", str(replay.logs)),
        ("accesses", str(replay.accesses)),
        ("end", str(replay.end.known)),
        ("whether this is the end", replay.end_check),
        ("journals compared", ", ".join(replay.journals) or "none"),
        ("signatures checked", str(replay.signatures)),
        ("releases with their record", str(replay.releases)),
        ("voided accesses", replay.void_check),
        ("statements", replay.statement_check),
    )
    return _table("What was replayed 重放范围", ("", ""), facts)


def _findings(replay: ReplayReport) -> str:
    if replay.is_clean:
        return ""
    rows = [(finding.kind.value, str(finding)) for finding in replay.findings]
    return _table("Differences 差异", ("kind", "what and where"), rows)


def _counts(title: str, counts: Counter[str]) -> str:
    rows = [(name, str(count)) for name, count in counts.most_common()]
    return _table(title, ("", "accesses"), rows)


def _accesses(rows: list[AccessRow]) -> str:
    columns = ("sequence", "at", "consumer", "dataset", "fields", "outcome", "transaction")
    cells = [
        (
            str(row.sequence),
            row.at,
            row.consumer_name or row.consumer,
            row.dataset_title or row.dataset,
            row.fields,
            row.outcome,
            row.transaction,
        )
        for row in reversed(rows)
    ]
    return _table("Accesses 使用记录 (newest first)", columns, cells)


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape_html(column)}</th>" for column in columns)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<h2>{escape_html(title)}</h2>\n<table><tr>{head}</tr>\n{body}\n</table>"


def _cell(text: str) -> str:
    shown = escape_html(text)
    return f"<code>{shown}</code>" if text.startswith("0x") else shown
