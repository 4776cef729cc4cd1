"""Texts that are not plain: none is sent, and what is on chain all the same is digested and shown escaped."""

import csv
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from ledger.api.consent import new_consent_request
from ledger.chain import contract_calls, eth_methods
from ledger.chain.events import DatasetTerms
from ledger.chain.events.identifiers import dataset_id
from ledger.errors import ExitCode
from ledger.hexstr import to_hex
from ledger.model import Class, Roles
from ledger.plain_text import PlainTextError, escape_text, is_plain
from scripts.scenario import Chain, Party, Terms
from tests.support.hostile import HOSTILE
from tests.wallet.cli.conftest import CommandLine
from wallet.client.consent_requests import refuse_ask
from wallet.client.identity import Person, PersonKind, resolve

Parties = Callable[[Party], CommandLine]

EVERYTHING: Final = "=cmd|' /C calc'!A0" + "".join(HOSTILE).replace("\U0010ffff", "") + "<b>&"
LAYOUT: Final = set("\n─━│┃┌┐└┘├┤┬┴┼┏┓┗┛┡┩┳┻╇╈┠┨┯┷┿╂╋╞╡╪")


def name_of(chain: Chain) -> str:
    """A hostile name that no other test has taken."""
    return f"{EVERYTHING}{chain.now()}"


@pytest.fixture
def terms(chain: Chain) -> Terms:
    """A bank and a dataset whose names attack whoever shows them: the contracts take them."""
    bank = Party(name_of(chain), Roles.CONSUMER)
    provider = Party(f"@{name_of(chain)}", Roles.PROVIDER)
    for party in (bank, provider):
        chain.send(
            chain.parties.authority, contract_calls.admit(party.address, party.roles, party.name)
        )
    chain.send(bank, contract_calls.name_recorder(chain.parties.recorder.address))
    code = f"code {EVERYTHING} {chain.now()}"
    dataset = DatasetTerms(
        code=code,
        title=f"+{EVERYTHING}",
        fields=(f"-{EVERYTHING}", "plain"),
        sharing=Class.CONDITIONAL,
        open=Class.NOT_SHARED,
        grade=2,
        personal=True,
        update_cycle=0,
    )
    chain.send(provider, contract_calls.register_dataset(dataset))
    identifier, purpose = dataset_id(provider.address, code.encode()), chain.register_purpose()
    agreement = chain.agree(bank, identifier, purpose, fields=0b11, provider=provider)
    return Terms(identifier, purpose, agreement, bank)


def test_hostile_names_on_chain_are_digested_and_escaped_by_every_audit(
    chain: Chain, party: Parties, terms: Terms, tmp_path: Path
) -> None:
    subject = chain.register_subject()
    record = chain.authorization(subject, terms, fields=0b11)
    authorization = chain.grant(subject, record)
    chain.record([chain.request(terms.consumer, authorization)])
    regulator = party(chain.parties.regulator)
    html, table, trail = (
        tmp_path / name for name in ("report.html", "accesses.csv", "trail.jsonl")
    )

    assert regulator.json("audit", "replay", "--html", str(html))["clean"]
    regulator.json("audit", "export", str(trail), "--trail-file")
    regulator.json("audit", "export", str(table), "--trail", str(trail))
    shown = [
        regulator("audit", "replay"),
        regulator("audit", "trace", "--party", to_hex(terms.consumer.address)),
        regulator("audit", "trace", "--dataset", to_hex(terms.dataset)),
        regulator("audit", "trace", "--dataset", to_hex(terms.dataset), "--json"),
    ]
    for done in shown:
        assert done.code == 0, done.err
        assert [each for each in set(done.out + done.err) - LAYOUT if not is_plain(each)] == []

    # NUL, which PostgreSQL cannot hold, is escaped where events are read, the rest where it is shown.
    name = escape_text(terms.consumer.name.replace("\0", "\\x00"))
    page = html.read_text("utf-8")
    assert [each for each in set(page) - {"\n"} if not is_plain(each)] == []
    assert name in text_in(page)
    with table.open(encoding="utf-8", newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["basis"] == to_hex(authorization)]
    assert row["consumer_name"] == "'" + name
    assert all(cell[:1] not in tuple("=+-@") for cell in row.values())


def text_in(page: str) -> str:
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            seen.append(data)

    Reader().feed(page)
    return "".join(seen)


@pytest.mark.parametrize("text", ["\x1b[2J", "a\u202eb", "a\u3164b", "a\u200db", "王\u05d0"])
def test_no_command_sends_a_text_that_is_not_plain(
    chain: Chain, party: Parties, tmp_path: Path, text: str
) -> None:
    terms = chain.personal_terms()
    authority, bank = party(chain.parties.authority), party(terms.consumer)
    regulator = party(chain.parties.regulator)
    dataset, purpose = to_hex(terms.dataset), to_hex(terms.purpose)
    address = to_hex(terms.consumer.address)
    parties = (chain.parties.authority, chain.parties.regulator, terms.consumer)

    def sent() -> list[int]:
        return [
            chain.rpc.send(eth_methods.transaction_count(party.address, "pending"))
            for party in parties
        ]

    before = sent()
    confidential = tmp_path / "text.txt"
    confidential.write_text("We keep it to ourselves.", "utf-8")
    commands = [
        authority("authority", "admit", address, "consumer", text),
        regulator("authority", "restrict", address, "--until", "+1h", "--reason", text),
        bank(
            *("consumer", "apply", dataset, purpose, "--justification", text),
            *("--confidentiality", str(confidential)),
        ),
    ]
    for done in commands:
        assert done.code == ExitCode.BAD_INPUT, (done.code, done.out, done.err)
        assert "U+" in done.err
        assert text not in done.err
    assert sent() == before


@pytest.mark.parametrize(
    "data", ["保密".encode("gbk"), b"a\x00b", "a\u202eb".encode(), b"a\tb", b""]
)
def test_an_agreement_that_is_no_plain_text_is_refused_before_anybody_applies(
    chain: Chain, party: Parties, tmp_path: Path, data: bytes
) -> None:
    terms, file = chain.personal_terms(), tmp_path / "text.txt"
    file.write_bytes(data)
    before = chain.rpc.send(eth_methods.transaction_count(terms.consumer.address, "pending"))
    done = party(terms.consumer)(
        *("consumer", "apply", to_hex(terms.dataset), to_hex(terms.purpose)),
        *("--justification", "loans", "--confidentiality", str(file)),
    )
    assert done.code == ExitCode.BAD_INPUT, (done.code, done.err)
    after = chain.rpc.send(eth_methods.transaction_count(terms.consumer.address, "pending"))
    assert after == before


def test_an_agreement_of_several_lines_is_signed_however_they_end(
    chain: Chain, party: Parties, tmp_path: Path
) -> None:
    terms, file = chain.personal_terms(), tmp_path / "text.txt"
    file.write_bytes("\ufeff第一条\r\n\r\n  保密。\r\n".encode())
    done = party(terms.consumer).json(
        *("consumer", "apply", to_hex(terms.dataset), to_hex(terms.purpose)),
        *("--justification", "loans", "--confidentiality", str(file)),
    )
    assert done["signed"]


@pytest.mark.parametrize("text", [text for text in HOSTILE if text != "a\nb"])
def test_no_client_sends_a_text_that_is_not_plain(text: str) -> None:
    person = Person(PersonKind.RESIDENT, "370102199001011234", "王明")
    asked = {"consumer": bytes(20), "dataset": bytes(32), "purpose": bytes(32), "fields": 1}
    with pytest.raises(PlainTextError):
        new_consent_request(**asked, case_number="118", expires_at=2**31, message=text)  # type: ignore[arg-type]
    with pytest.raises(PlainTextError):
        new_consent_request(**asked, case_number=f"118{text}", expires_at=2**31)  # type: ignore[arg-type]
    with pytest.raises(PlainTextError):
        refuse_ask("f" * 32, text)
    with pytest.raises(PlainTextError):
        resolve(person, bytes(32), f"118{text}")
