"""State shared by all acts: the running system, the parties with their keys and clients, the files."""

import secrets
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

from ledger.chain import contract_calls, contract_reads
from ledger.chain.contract_calls import ContractCall
from ledger.chain.contract_reads import OrderState
from ledger.chain.deployment import Deployment
from ledger.chain.events import PurposeTerms
from ledger.chain.events.identifiers import dataset_id
from ledger.chain.rpc import Rpc
from ledger.crypto.hpke import DecryptionKey
from ledger.model import Outcome, Roles
from scripts.demo import cast
from scripts.demo.cast import Role
from scripts.demo.files import CityFiles
from scripts.demo.stage import Stage
from scripts.processes import SCRYPT_N
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transactions import Mined, transact
from wallet.client.transports import Client, Endpoints
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password
from wallet.supervisor import Addresses, Layout

T = TypeVar("T")

ACCOUNT: Final = "account"
ENCRYPTION: Final = "encryption"


@dataclass(frozen=True, slots=True)
class Party:
    """One party: its account, its encryption key, and its client of the others' services."""

    role: Role
    key: PartyKey
    opening: DecryptionKey
    client: Client
    ledger: ChainAccess

    @property
    def address(self) -> bytes:
        """Its account's."""
        return self.key.address

    def send(self, call: ContractCall) -> Mined:
        """Sign a transaction, send it, wait until it is final."""
        return self.client.run(transact(self.ledger, self.key, call))

    def run(self, steps: Awaitable[T]) -> T:
        """Carry out a flow of the SDK."""
        return self.client.run(steps)


class World:
    """The city on stage."""

    def __init__(
        self,
        stage: Stage,
        data: Path,
        password: Password,
        addresses: Addresses,
        deployment: Deployment,
        files: CityFiles,
    ) -> None:
        self.stage = stage
        self.data = data
        self.password = password
        self.addresses = addresses
        self.deployment = deployment
        self.files = files
        self.node = Rpc(addresses.node)
        self.outcomes: Counter[Outcome] = Counter()
        """Of all accesses so far, as the consumers saw them; the replay must come to the same."""
        self._parties: dict[str, Party] = {}

    def close(self) -> None:
        for party in self._parties.values():
            party.client.close()
        self.node.close()

    # Parties

    @cached_property
    def authority(self) -> Party:
        """The city's data bureau, which deployed the contracts."""
        return self._supervised("authority", "泉城市大数据局 / Quancheng Data Bureau")

    @cached_property
    def officer(self) -> Party:
        """The officer at the identity authority's counter."""
        return self._supervised("officer", "身份认证窗口 / Identity counter")

    @property
    def recorder(self) -> bytes:
        """Address of the gateway's recorder."""
        return Keystore(Layout(self.data).keystore("gateway")).entry(ACCOUNT).public

    @property
    def departments(self) -> tuple[Role, ...]:
        """The providers, as the city's manifest names them."""
        by_code = {
            dataset.department.code: dataset.department for dataset in self.files.manifest.datasets
        }
        return tuple(
            Role(code, f"{one.title_zh} / {one.title_en}", Roles.PROVIDER)
            for code, one in by_code.items()
        )

    def party(self, role: Role) -> Party:
        """Return a party; its keys are drawn when it is first asked for."""
        if role.code not in self._parties:
            keystore = Keystore(self.data / "parties" / role.code / "keystore", scrypt_n=SCRYPT_N)
            account, opening = secrets.token_bytes(32), DecryptionKey.generate()
            keystore.store(ACCOUNT, Kind.ETHEREUM_KEY, account, self.password)
            keystore.store(ENCRYPTION, Kind.ENCRYPTION_KEY, opening.to_bytes(), self.password)
            self._parties[role.code] = self._make(role, account, opening)
        return self._parties[role.code]

    def provider_of(self, code: str) -> Party:
        """Return the department that holds a dataset."""
        department = self.files.dataset(code).department.code
        return self.party(next(one for one in self.departments if one.code == department))

    @property
    def bank(self) -> Party:
        return self.party(cast.BANK)

    @property
    def insurer(self) -> Party:
        return self.party(cast.INSURER)

    @property
    def institute(self) -> Party:
        return self.party(cast.INSTITUTE)

    @property
    def navigator(self) -> Party:
        """The maker of an app that finds parking."""
        return self.party(cast.NAVIGATOR)

    @property
    def disease_control(self) -> Party:
        """Those who fight an outbreak."""
        return self.party(cast.DISEASE_CONTROL)

    @property
    def regulator(self) -> Party:
        return self.party(cast.REGULATOR)

    @property
    def names(self) -> dict[bytes, str]:
        """The English names of the parties so far, by address."""
        return {
            party.address: party.role.name.rpartition(" / ")[2] for party in self._parties.values()
        }

    # Ids

    def dataset(self, code: str) -> bytes:
        """Return a dataset's id."""
        return dataset_id(self.provider_of(code).address, code.encode())

    def mask(self, code: str, *names: str) -> int:
        """Return the bitmap of some fields of a dataset; of all without names."""
        dataset = self.files.dataset(code)
        chosen = names or tuple(field.name for field in dataset.fields)
        return sum(1 << dataset.field_index(name) for name in chosen)

    def order(self, order: bytes) -> OrderState:
        """Return how an emergency order stands."""
        return self.node.send(contract_reads.order_of(self.deployment.contracts, order))

    # Making clients

    def endpoints(self, *, own_node: bool = True) -> Endpoints:
        node = self.addresses.node if own_node else ""
        return Endpoints(self.addresses.gateway, self.addresses.identity, node)

    def ledger(self, *, own_node: bool = True) -> ChainAccess:
        """Return how a party gets to the contracts."""
        return ChainAccess(self.deployment, own_node)

    def _supervised(self, name: str, title: str) -> Party:
        keystore = Keystore(Layout(self.data).keystore(name))
        account = keystore.load(ACCOUNT, Kind.ETHEREUM_KEY, self.password)
        party = self._make(Role(name, title, Roles(0)), account, DecryptionKey.generate())
        self._parties[name] = party
        return party

    def _make(self, role: Role, account: bytes, opening: DecryptionKey) -> Party:
        key = PartyKey(account)
        client = Client(self.endpoints(), key=key, chain_id=self.deployment.chain_id)
        return Party(role, key, opening, client, self.ledger())


def purpose_of(terms: PurposeTerms) -> bytes:
    """Return a purpose's id."""
    return contract_calls.purpose_id(terms)
