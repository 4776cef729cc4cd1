"""A report for people: one HTML file, nothing loaded from elsewhere, every text escaped.

Parties choose what they and their datasets are called, so a name never stands for an id: it is counted by
ids, each name has its id beside it, and only ids look like ids.
"""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final, NewType

from ledger.chain.deployment import Deployment
from ledger.plain_text import escape_html
from ledger.replay.report import ReplayReport
from wallet.regulator.exports import AccessRow

_MAX_ROWS: Final = 2000
_STYLE: Final = """
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top; }
code { font-size: 12px; overflow-wrap: anywhere; }
.good { color: #0a6b2d; } .bad { color: #a3121f; }
"""


_Html = NewType("_Html", str)
"""Escaped."""


class Summary:
    """What a report shows of the accesses; it takes their rows while a replay reads."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.consumers: Counter[str] = Counter()
        """By address."""
        self.datasets: Counter[str] = Counter()
        """By id; empty for accesses on a basis that nobody made."""
        self.names: dict[str, str] = {}
        """Of both, as they were last called."""
        self.newest: deque[AccessRow] = deque(maxlen=_MAX_ROWS)

    def add(self, row: AccessRow) -> None:
        self.outcomes[row.outcome] += 1
        self.consumers[row.consumer] += 1
        self.datasets[row.dataset] += 1
        self.names[row.consumer] = row.consumer_name
        self.names[row.dataset] = row.dataset_title
        self.newest.append(row)


def make_report(deployment: Deployment, replay: ReplayReport, summary: Summary) -> str:
    """Return a report as HTML.

    Args:
        deployment: the contracts.
        replay: its result.
        summary: of the accesses that this replay read.
    """
    parts = [
        _trial(deployment),
        _verdict(replay),
        _facts(deployment, replay),
        _findings(replay),
        _counts("Outcomes 结果", [(_text(name), n) for name, n in summary.outcomes.most_common()]),
        _counts("Consumers 使用方", _named_counts(summary.consumers, summary.names)),
        _counts("Datasets 数据目录", _named_counts(summary.datasets, summary.names)),
        _accesses(summary.newest),
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
    rows = [(_text(name), _text(value)) for name, value in facts]
    return _table("What was replayed 重放范围", ("", ""), rows)


def _findings(replay: ReplayReport) -> str:
    if replay.is_clean:
        return ""
    rows = [(_text(finding.kind.value), _text(str(finding))) for finding in replay.findings]
    return _table("Differences 差异", ("kind", "what and where"), rows)


def _named_counts(counts: Counter[str], names: dict[str, str]) -> list[tuple[_Html, int]]:
    return [(_named(names[id_], id_), count) for id_, count in counts.most_common()]


def _counts(title: str, counts: Iterable[tuple[_Html, int]]) -> str:
    return _table(title, ("", "accesses"), [(name, _text(str(count))) for name, count in counts])


def _accesses(rows: deque[AccessRow]) -> str:
    columns = ("sequence", "at", "consumer", "dataset", "fields", "outcome", "transaction")
    cells = [
        (
            _text(str(row.sequence)),
            _text(row.at),
            _named(row.consumer_name, row.consumer),
            _named(row.dataset_title, row.dataset),
            _text(row.fields),
            _text(row.outcome),
            _id(row.transaction),
        )
        for row in reversed(rows)
    ]
    return _table("Accesses 使用记录 (newest first)", columns, cells)


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[_Html]]) -> str:
    head = "".join(f"<th>{escape_html(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{escape_html(title)}</h2>\n<table><tr>{head}</tr>\n{body}\n</table>"


def _text(text: str) -> _Html:
    return _Html(escape_html(text))


def _id(id_: str) -> _Html:
    return _Html(f"<code>{escape_html(id_)}</code>")


def _named(name: str, id_: str) -> _Html:
    """A name with its id: others may be called the same, or as somebody's id looks."""
    if not id_:
        return _text("unknown")
    return _Html(f"{_text(name)} {_id(id_)}") if name else _id(id_)
