"""Followers digest whatever the chain takes: every free text and number at its bounds, on both databases.

A party that is admitted may write what it likes into the contracts, past every client of ours. What
comes over a bound is refused there; what does not must stop nobody, for ever.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from eth_abi.abi import encode
from eth_abi.grammar import parse

from gateway.notifications import Topics
from gateway.store.alerts import AlertStore
from gateway.store.database import Database
from gateway.store.releases import ReleaseJournal
from gateway.supervision.keyholder_reports import SupervisedTrail
from gateway.supervision.rules import Bounds
from gateway.supervision.watch import Watch
from ledger.artifacts import CONTRACTS, ContractName, load_artifact
from ledger.chain import contract_calls
from ledger.chain.contract_calls import ContractCall
from ledger.chain.embedded import Node, NodeSettings
from ledger.chain.finality import Finality
from ledger.chain.reverts import RevertError
from ledger.chain.rpc import AsyncRpc
from ledger.hexstr import keccak256
from ledger.index.follower import Follower
from ledger.index.index import Index, Origin
from ledger.model import Change, Roles
from ledger.replay.sources import export_trail, replay_node, replay_trail
from scripts.scenario import Chain, Party
from tests.support.database import database, database_url, postgres_server
from tests.support.gateway_server import serve_gateway
from wallet.identity.database import open_database
from wallet.identity.watch import Watcher
from wallet.keyholder.follower import Follower as HolderFollower
from wallet.keyholder.follower import Following

pytestmark = pytest.mark.slow

__all__ = ["database", "database_url", "postgres_server"]

NAME, PROSE = 800, 8_000
NOTHING: Final = bytes(32)
KINDS: Final = [
    "AdmissionAnnounced",
    "AdmissionVetoed",
    "AgreementSuspended",
    "AgreementWithdrawn",
    "ApplicationDeclined",
    "Applied",
    "ChangeVetoed",
    "ConsumerRestricted",
    "ContractAnnounced",
    "DatasetReclassified",
    "DatasetRegistered",
    "DatasetWithdrawn",
    "OrderEnded",
    "OrderIssued",
    "OrderReviewed",
    "PartyAdmitted",
    "PurposeRegistered",
    "RestrictionAppealed",
    "RestrictionLifted",
    "SuspensionReviewed",
]
"""Events with a text."""
NOBODY: Final = bytes(20)
MACHINE: Final = Party("Supervisor", Roles(0))
ELSEWHERE: Final = {"signConfidentiality", "voidAccess"}
"""Of the first only a hash is on chain; the second is bounded in `Voids.t.sol` and needs an access first."""

_APPLY: Final = "applyFor(bytes32,bytes32,uint256,string,bytes32)"
_ISSUE: Final = "issueOrder((bytes32,bytes32,uint8,uint256,uint64,uint64,string,bytes32))"

POISONS: Final = {
    "NUL": b"a\0b",
    "not UTF-8": b"\xff\xfe\x80\xc0",
    "half a surrogate": b"\xed\xa0\x80",
    "an escape sequence": b"\x1b[2J\x1b[1;1H",
    "a direction override": "\u202e\u2066abc".encode(),
    "a backslash": rb"\x00",
}


def call(contract: ContractName, signature: str, *values: object) -> ContractCall:
    """A call whose texts are bytes, as somebody writes who does not use our tools."""
    inside = signature[signature.index("(") + 1 : -1].replace("string", "bytes")
    types = [part.to_type_str() for part in parse(f"({inside})").components]
    selector = keccak256(signature.encode())[:4]
    return ContractCall(contract, selector + encode(types, values))


def padded(poison: bytes, length: int) -> bytes:
    """A poison made as long as a bound allows, and unlike any other of this length."""
    return poison + b"x" * (length - len(poison))


def repeated(poison: bytes, length: int, number: int) -> bytes:
    """A poison over and over, as long as a bound allows, and another one for each number."""
    end = f"{number:03}".encode()
    return (poison * length)[: length - len(end)] + end


class Town:
    """A chain of its own, on which parties write past every client."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._number = 0
        self.called: set[bytes] = set()
        """Selectors of what was sent."""

    def name(self, poison: bytes) -> bytes:
        self._number += 1
        return poison + str(self._number).encode()

    def acts(self, poison: bytes, long: bytes) -> list[tuple[Party, ContractCall]]:
        """Everything that has a text; `long` is a poison as long as reasons may be."""
        chain, parties = self.chain, self.chain.parties
        now, bank = chain.now(), parties.bank.address
        bureau, provider, regulator = parties.authority, parties.provider, parties.regulator
        code = self.name(poison)
        dataset = keccak256(
            keccak256(b"Dataset(address provider,string code)")
            + provider.address.rjust(32, b"\0")
            + keccak256(code)
        )
        purpose_terms = (self.name(poison), [(poison, long)], 2**32 - 1, 2**32 - 1, 0, 2**40 - 1)
        kind = "(string,(string,string)[],uint64,uint32,uint32,uint64)"
        purpose = keccak256(encode([kind.replace("string", "bytes")], [purpose_terms]))
        newcomer = keccak256(code)[:20]
        fields = [self.name(poison), b"plain"]
        register = "registerDataset((string,string,string[],uint8,uint8,uint8,bool,uint32))"
        terms = (code, poison, fields, 1, 2, 4, False, 2**32 - 1)
        return [
            (
                bureau,
                call("Registry", "admit(address,uint8,string)", newcomer, 2, self.name(poison)),
            ),
            (
                regulator,
                call("Registry", "restrict(address,uint64,string)", bank, now + 9**5, long),
            ),
            (parties.bank, call("Registry", "appeal(string)", long)),
            (regulator, call("Registry", "lift(address,string)", bank, long)),
            (
                bureau,
                call("Registry", "announce(string,address)", poison, chain.contracts.catalogue),
            ),
            (provider, call("Catalogue", register, terms)),
            (
                provider,
                call(
                    "Catalogue",
                    "reclassify(bytes32,uint8,uint8,uint8,string)",
                    *(dataset, 1, 2, 4, long),
                ),
            ),
            (provider, contract_calls.publish(dataset, b"\x01" * 32, 2**40)),
            (bureau, call("Agreements", f"registerPurpose({kind})", purpose_terms)),
            (bureau, contract_calls.bind_fields(purpose, dataset, 3)),
            (parties.bank, call("Agreements", _APPLY, dataset, purpose, 3, long, b"\x07" * 32)),
            (provider, call("Catalogue", "withdrawDataset(bytes32,string)", dataset, long)),
        ]

    def later_acts(self, poison: bytes, long: bytes) -> list[tuple[Party, ContractCall]]:
        """The other acts with a text: those that come after something, which is made here."""
        chain, parties = self.chain, self.chain.parties
        bureau, provider, regulator = parties.authority, parties.provider, parties.regulator
        terms = chain.personal_terms()
        now, salt = chain.now(), keccak256(poison)
        issued: list[tuple[ContractCall, bytes]] = []
        for place, starts_at in enumerate((now, now + 3_000)):
            order = (terms.dataset, terms.purpose, 1, 1, starts_at, now + 9_000)
            tag = (
                b"Order(bytes32 dataset,bytes32 purpose,uint8 sharing,uint256 fields,"
                b"uint64 startsAt,uint64 endsAt,string reason,bytes32 nonce)"
            )
            nonce = keccak256(salt + bytes([place]))
            words = ["bytes32"] * 3 + ["uint8", "uint256", "uint64", "uint64", "bytes32", "bytes32"]
            hashed = encode(words, [keccak256(tag), *order, keccak256(long), nonce])
            issued.append((call("Catalogue", _ISSUE, (*order, long, nonce)), keccak256(hashed)))
        (first, order_id), (second, other_id) = issued
        newcomer, deployed = keccak256(long + poison)[:20], chain.contracts.catalogue
        nonce = keccak256(salt + b"declined")
        tag = b"Application(address consumer,bytes32 dataset,bytes32 purpose,uint256 fields,bytes32 nonce)"
        application = keccak256(
            encode(
                ["bytes32", "address", "bytes32", "bytes32", "uint256", "bytes32"],
                [keccak256(tag), parties.bank.address, terms.dataset, terms.purpose, 1, nonce],
            )
        )
        end, veto = "endOrder(bytes32,string)", "vetoChange(uint8,address,address,string)"
        name = padded(self.name(poison), NAME)
        return [
            (bureau, first),
            (regulator, contract_calls.countersign_order(order_id)),
            (provider, call("Catalogue", end, order_id, long)),
            (regulator, call("Catalogue", "reviewOrder(bytes32,string)", order_id, long)),
            (bureau, second),
            (bureau, call("Catalogue", end, other_id, long)),
            (bureau, call("Registry", "admit(address,uint8,string)", newcomer, 4, name)),
            (regulator, call("Registry", "vetoAdmission(address,string)", newcomer, long)),
            (bureau, contract_calls.announce_change(Change.VERIFIER, deployed)),
            (regulator, call("Registry", veto, int(Change.VERIFIER), deployed, NOBODY, long)),
            (
                parties.bank,
                call("Agreements", _APPLY, terms.dataset, terms.purpose, 1, long, nonce),
            ),
            (provider, call("Agreements", "decline(bytes32,string)", application, long)),
            (regulator, contract_calls.appoint_supervisor(MACHINE.address)),
            (
                MACHINE,
                call("Agreements", "suspendAgreement(bytes32,string)", terms.agreement, long),
            ),
            (
                regulator,
                call(
                    *("Agreements", "reviewSuspension(bytes32,uint64,string)"),
                    *(terms.agreement, 0, long),
                ),
            ),
            (
                parties.bank,
                call("Agreements", "withdrawAgreement(bytes32,string)", terms.agreement, long),
            ),
            # Escaped, it is up to four times as long; the longest list of the longest names.
            (
                provider,
                call(
                    "Catalogue",
                    "registerDataset((string,string,string[],uint8,uint8,uint8,bool,uint32))",
                    (
                        name,
                        padded(poison, NAME),
                        [repeated(poison, NAME, place) for place in range(256)],
                        *(1, 2, 4, False, 0),
                    ),
                ),
            ),
            (parties.insurer, contract_calls.set_encryption_key(repeated(poison, 2_000, 0))),
        ]

    def over(self) -> list[tuple[Party, ContractCall]]:
        """What is one byte, or one of a list, over its bound."""
        chain, parties = self.chain, self.chain.parties
        name, prose = b"x" * (NAME + 1), b"x" * (PROSE + 1)
        register = "registerDataset((string,string,string[],uint8,uint8,uint8,bool,uint32))"
        kind = "registerPurpose((string,(string,string)[],uint64,uint32,uint32,uint64))"
        now, bank, provider = chain.now(), parties.bank.address, parties.provider
        bureau, terms = parties.authority, chain.personal_terms()
        order = (terms.dataset, terms.purpose, 1, 1, now, now + 9_000)

        def dataset(**values: object) -> ContractCall:
            terms = {"code": b"c", "title": b"t", "fields": [b"f"]} | values
            return call("Catalogue", register, (*terms.values(), 1, 2, 1, False, 0))

        def purpose(code: bytes, texts: list[tuple[bytes, bytes]], **bounds: int) -> ContractCall:
            most = {"validity": 1, "uses": 1, "interval": 0, "retention": 1} | bounds
            return call("Agreements", kind, (code, texts, *most.values()))

        text = (b"en", b"t")
        return [
            (bureau, call("Registry", "admit(address,uint8,string)", b"\x42" * 20, 2, name)),
            (bureau, call("Registry", "announce(string,address)", name, chain.contracts.catalogue)),
            (
                parties.regulator,
                call("Registry", "restrict(address,uint64,string)", bank, now + 9, prose),
            ),
            (parties.bank, contract_calls.set_encryption_key(b"\x01" * 2_001)),
            (provider, dataset(code=name)),
            (provider, dataset(title=name)),
            (provider, dataset(fields=[name])),
            (provider, dataset(fields=[b"same", b"same"])),
            (provider, dataset(fields=[str(one).encode() for one in range(257)])),
            (bureau, purpose(name, [text])),
            (bureau, purpose(b"p", [text] * 9)),
            (bureau, purpose(b"p", [(name, b"t")])),
            (bureau, purpose(b"p", [(b"en", prose)])),
            (parties.bank, call("Registry", "appeal(string)", prose)),
            (
                parties.bank,
                call("Agreements", _APPLY, terms.dataset, terms.purpose, 1, prose, NOTHING),
            ),
            (bureau, call("Catalogue", _ISSUE, (*order, prose, NOTHING))),
            (provider, call("Catalogue", "withdrawDataset(bytes32,string)", terms.dataset, prose)),
            (
                parties.bank,
                call("Agreements", "withdrawAgreement(bytes32,string)", terms.agreement, prose),
            ),
            (bureau, purpose(b"p", [text], validity=2**64 - 1)),
            (bureau, purpose(b"p", [text], retention=2**64 - 1)),
            (
                bureau,
                call(
                    *("Registry", "admit(address,uint8,string)", b"\x43" * 20, 2),
                    parties.provider.name.encode(),
                ),
            ),
        ]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A chain that holds every poison."""
    with Node(NodeSettings(tmp_path_factory.mktemp("chain"), block_time=0.05)) as node:
        chain = Chain(node, admission_delay=3_600)
        town = Town(chain)
        for poison in POISONS.values():
            for acts in (town.acts, town.later_acts):
                for party, act in acts(poison, padded(poison, PROSE)):
                    chain.send(party, act)
                    town.called.add(act.data[:4])
        yield town
        chain.close()


@asynccontextmanager
async def indexed(town: Town, database: Database) -> AsyncIterator[Index]:
    deployment = town.chain.deployment
    at = deployment.contracts
    origin = Origin(deployment.genesis_hash, at.access_log, deployment.block_number - 1)
    index = Index(database, origin)
    await index.open()
    async with AsyncRpc(town.chain.node.url) as rpc:
        follower = Follower(rpc, at, Finality.depth(0), index)
        await follower.catch_up()
        yield index


def test_every_function_with_a_text_is_poisoned(town: Town) -> None:
    with_text = {
        entry.name: entry.hash[:4]
        for name in CONTRACTS
        for entry in load_artifact(name).items("function")
        if entry.state_mutability not in ("view", "pure") and "string" in entry.signature
    }
    left = {name for name, selector in with_text.items() if selector not in town.called}
    assert left == ELSEWHERE


async def test_the_index_takes_every_text_that_the_contracts_take(
    town: Town, database: Database
) -> None:
    async with indexed(town, database) as index:
        assert index.head.number >= town.chain.block_number() - 1
        unfit = await index.unfit_after(0, 1000)
        written: Sequence[str] = [each.name for each in unfit]
        for kind in KINDS:
            assert written.count(kind) >= len(POISONS), kind
        assert "a\\x00b" in "".join(each.body for each in unfit).replace("\\\\", "\\")


async def test_supervision_raises_an_alert_for_each(town: Town, database: Database) -> None:
    async with indexed(town, database) as index:
        alerts = AlertStore(database)
        trail = SupervisedTrail(index, ReleaseJournal(database))
        await Watch(trail, alerts, Topics(), bounds=Bounds()).step()
        raised = [each for each in await alerts.list(0, 1000) if each.rule == "unfit-text"]
        assert len(raised) == len(await index.unfit_after(0, 1000))


def test_replay_takes_them_from_a_node_and_from_a_trail(town: Town, tmp_path: Path) -> None:
    chain = town.chain
    report = replay_node(chain.rpc, chain.deployment)
    assert report.findings == ()
    path = tmp_path / "trail.jsonl"
    export_trail(chain.rpc, chain.deployment, path)
    assert replay_trail(path, chain.deployment).findings == ()


async def test_a_keyholder_takes_them(town: Town) -> None:
    chain = town.chain
    written = chain.block_number()
    async with AsyncRpc(chain.node.url) as rpc:
        follower = HolderFollower(rpc, chain.deployment, Following(Finality.depth(0), 3600, 60))
        await follower.step()
        assert follower.require().block.number >= written


async def test_a_gateway_is_ready_on_them_and_shows_them(
    town: Town, tmp_path: Path, database_url: str
) -> None:
    async with serve_gateway(town.chain, tmp_path, database_url) as gateway:
        await gateway.has(town.chain.block_number())
        checks = (await gateway.http.get("/readyz")).json()["checks"]
        assert (checks["database"], checks["chain"]) == (None, None)
        for path in ("/v1/catalogue", "/v1/parties", "/v1/purposes"):
            assert (await gateway.http.get(path)).status_code == 200, path


async def test_an_identity_authority_follows_them(town: Town, database_url: str) -> None:
    database = await open_database(database_url)
    async with AsyncRpc(town.chain.node.url) as rpc:
        watcher = Watcher(
            database, rpc, town.chain.deployment, finality=Finality.depth(0), poll=0.1
        )
        await watcher.step()
        assert watcher.require().number >= town.chain.block_number() - 1
    await database.close()


def test_what_is_over_a_bound_is_refused_by_the_contract(town: Town) -> None:
    for party, act in town.over():
        with pytest.raises(RevertError):
            town.chain.send(party, act)


def test_a_signer_is_bounded_and_its_verifier_listed(town: Town) -> None:
    chain = town.chain
    verifier = chain.deployment.webauthn_verifier
    longest = verifier + b"\xff" * (512 - 20)
    identity = chain.parties.identity_authority
    chain.send(identity, contract_calls.register_subjects([b"\x61" * 32], [longest]))
    for signer in (longest + b"x", b"\x00" * 19 + b"\x04" + b"k" * 64, b"\xff" * 500, b"\x01" * 19):
        with pytest.raises(RevertError):
            chain.send(identity, contract_calls.register_subjects([b"\x62" * 32], [signer]))
