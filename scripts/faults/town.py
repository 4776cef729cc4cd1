"""What a fault run plays in: a chain with the contracts, keyholders' seeds, people with records, two banks.

Made in seconds, without the tools of each party (`make demo` shows those): everything that matters here
happens between consumer, gateway, node and keyholders.
"""

import secrets
import time
from pathlib import Path
from typing import Final

import msgspec

from ledger import contracts
from ledger.custody import DatasetKeys, Sharing, combine_subkeys, derive_subkeys
from ledger.deployment import write_deployment
from ledger.encoding import Schema
from ledger.enumerations import Roles
from ledger.events.identifiers import application_id
from ledger.exchange import SignedLink
from ledger.links import make_link
from ledger.node import Node, NodeSettings
from ledger.record_lines import encode_line
from ledger.records import EncryptedRecord, encrypt_record
from ledger.rosters import Roster
from ledger.sealing import OpeningKey
from ledger.typed_data import ConfidentialityAgreement
from scripts.bench.bare_chain import ALL_FIELDS, BANK_NAME, FIELDS, YEAR, Account, BareChain
from scripts.demo.world import SCRYPT_N
from scripts.faults.ports import free_port
from wallet.client.datasets import wait_for_publication
from wallet.client.party import PartyKey
from wallet.client.patience import patiently
from wallet.client.transactions import Ledger
from wallet.client.transports import Client, Endpoints
from wallet.client.uploads import begin_upload, seal_upload, send_lines, serve_publication
from wallet.keyholder.ceremony import begin_epoch, make_packets, open_packet
from wallet.keyholder.seeds import ACCOUNT, ENCRYPTION, Holdings, store_epoch
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password

PASSWORD: Final = "faults"  # noqa: S105 - of keystores that are worth nothing
SHARING: Final = Sharing(2, 3)
RECORDER: Final = "recorder"
BLOCK_TIME: Final = 0.1
_OTHER_BANK: Final = "Other bank"
_RECORDS: Final = 2
"""Of each person."""


class Citizen(msgspec.Struct, frozen=True):
    """A person who can grant: subject id, key, and what ties it to its records."""

    subject: bytes
    key: bytes
    link: SignedLink


class Consumer(msgspec.Struct, frozen=True):
    """A bank: its account, and its name on chain."""

    key: bytes
    name: str


class Town:
    """Everything but the processes of gateway and keyholders.

    Args:
        home: directory of everything.
        people: how many there are.
        state_interval: seconds between writings of the node's state; zero for none.
    """

    def __init__(self, home: Path, people: int, *, state_interval: float = 1.0) -> None:
        self.home = home
        settings = NodeSettings(
            home / "chain",
            port=free_port(),
            block_time=BLOCK_TIME,
            state_interval=state_interval,
        )
        self.node = Node(settings)
        self.node.start()
        try:
            self._make(people)
        except BaseException:
            self.node.stop()
            raise

    def _make(self, people: int) -> None:
        self.chain = chain = BareChain(self.node, people=0)
        self.schema = Schema(chain.dataset, FIELDS)
        self.second_recorder = Account.draw()
        self.holders = _keyholders()
        self.deployment = chain.deployment.with_roster(self.holders[0].newest().roster)
        chain.send(
            chain.authority,
            contracts.admit(self.second_recorder.address, Roles.RECORDER, "Second gateway"),
            *(
                contracts.admit(one.address, Roles.KEYHOLDER, f"Keyholder {number}")
                for number, one in enumerate(self.holders, 1)
            ),
        )
        chain.send(chain.bank, contracts.name_recorder(self.second_recorder.address))
        self.consumers = (Consumer(chain.bank.private_key, BANK_NAME), self._other_bank())
        some = [derive_subkeys(one.newest().complete(), chain.dataset) for one in self.holders[:2]]
        self._keys = combine_subkeys(SHARING, some)
        self.records: list[EncryptedRecord] = []
        self.citizens = self._register(people)
        write_deployment(self.deployment, self.home / "deployment.json")
        self.node.checkpoint()

    def close(self) -> None:
        """End the node."""
        self.chain.close()
        self.node.stop()

    def store_recorder(self, directory: Path, account: Account) -> Path:
        """Write the key file of a gateway's account; return where it is."""
        path = directory / f"{RECORDER}.json"
        if not path.exists():
            keystore = Keystore(directory, scrypt_n=SCRYPT_N)
            keystore.store(RECORDER, Kind.ETHEREUM_KEY, account.private_key, Password(PASSWORD))
        return path

    def publish(self, gateway: str) -> None:
        """Upload all records to a gateway, publish them on chain, have them served."""
        dataset, chain_id = self.chain.dataset, self.deployment.chain_id
        key = PartyKey(self.chain.provider.private_key)
        endpoints = Endpoints(gateway, node=self.node.url)
        with Client(endpoints, key=key, chain_id=chain_id) as client:
            upload = client.run(patiently(begin_upload(dataset, 0))).upload
            lines = b"".join(map(encode_line, self.records))
            client.run(patiently(send_lines(upload, 0, lines)))
            head = client.run(patiently(seal_upload(upload)))
            self.chain.send(self.chain.provider, contracts.publish(dataset, head.root, head.size))
            ledger = Ledger(self.deployment, own_node=True)
            version = client.run(wait_for_publication(ledger, dataset, head))
            client.run(patiently(serve_publication(upload, version)))

    def _other_bank(self) -> Consumer:
        """Admit another consumer, with an agreement like the bank's."""
        chain, bank = self.chain, Account.draw()
        nonce, until = secrets.token_bytes(32), int(time.time()) + 2 * YEAR
        application = application_id(bank.address, chain.dataset, chain.purpose, ALL_FIELDS, nonce)
        text = ConfidentialityAgreement(bank.address, application, "We keep it.", nonce, until)
        chain.send(chain.authority, contracts.admit(bank.address, Roles.CONSUMER, _OTHER_BANK))
        chain.send(
            bank,
            contracts.name_recorder(chain.recorder.address),
            contracts.name_recorder(self.second_recorder.address),
            contracts.apply_for(chain.dataset, chain.purpose, ALL_FIELDS, "To count.", nonce),
            contracts.sign_confidentiality(text, chain.sign(text, bank)),
        )
        chain.send(chain.provider, contracts.approve(application, ALL_FIELDS, until))
        return Consumer(bank.private_key, _OTHER_BANK)

    def _register(self, people: int) -> tuple[Citizen, ...]:
        drawn = [(secrets.token_bytes(32), Account.draw()) for _ in range(people)]
        subjects = [subject for subject, _ in drawn]
        signers = [account.address for _, account in drawn]
        self.chain.send(self.chain.identity, contracts.register_subjects(subjects, signers))
        citizens = tuple(self._citizen(subject, account) for subject, account in drawn)
        self.records.sort(key=lambda record: (record.owner, record.number))
        return citizens

    def _citizen(self, subject: bytes, account: Account) -> Citizen:
        owner = secrets.token_bytes(32)
        link = make_link(subject, self.chain.dataset, owner, at=int(time.time()), links_from=0)
        for number in range(1, _RECORDS + 1):
            self.records.append(_record(self.schema, self._keys, owner, number))
        signed = SignedLink(link, self.chain.sign(link, self.chain.identity))
        return Citizen(subject, account.private_key, signed)


def store_keyholder(directory: Path, holder: Holdings) -> None:
    """Write a keyholder's keystore."""
    keystore, password = Keystore(directory, scrypt_n=SCRYPT_N), Password(PASSWORD)
    keystore.store(ACCOUNT, Kind.ETHEREUM_KEY, holder.account, password)
    public = holder.opening.encryption_key.to_bytes()
    secret = holder.opening.to_bytes()
    keystore.store(ENCRYPTION, Kind.ENCRYPTION_KEY, secret, password, public=public)
    for seeds in holder.epochs.values():
        store_epoch(keystore, password, seeds)


def _record(schema: Schema, keys: DatasetKeys, owner: bytes, number: int) -> EncryptedRecord:
    values = [f"{name} of {number}" for name in FIELDS]
    return encrypt_record(schema, keys, owner=owner, number=number, values=values)


def _keyholders(epoch: int = 1) -> list[Holdings]:
    """Let three keyholders draw and exchange their seeds."""
    fresh = [
        Holdings(secrets.token_bytes(32), OpeningKey.generate(), {}) for _ in range(SHARING.holders)
    ]
    roster = Roster(epoch, SHARING.threshold, tuple(one.address for one in fresh))
    keys = {one.address: one.opening.encryption_key for one in fresh}
    begun = [begin_epoch(one, roster) for one in fresh]
    packets = [
        packet
        for one, seeds in zip(fresh, begun, strict=True)
        for packet in make_packets(seeds, one.account, keys)
    ]

    return [
        Holdings(
            one.account,
            one.opening,
            {
                epoch: seeds.with_seeds(
                    open_packet(packet, roster, one.opening, one.address)
                    for packet in packets
                    if packet.recipient == one.address
                )
            },
        )
        for one, seeds in zip(fresh, begun, strict=True)
    ]
