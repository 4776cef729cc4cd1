"""State shared by all acts: the running system, the parties with their keys and clients, the files."""

import secrets
from collections import Counter
from contextlib import ExitStack
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
from wallet.client.party import ChainAccess
from wallet.client.transactions import Mined, transact
from wallet.client.transports import Endpoints
from wallet.keystore import Keystore, Kind
from wallet.parties import Consumer, Provider, Regulator
from wallet.party import City, Party
from wallet.passwords import Password
from wallet.supervisor import Addresses, Layout

ACCOUNT: Final = "account"
ENCRYPTION: Final = "encryption"
KINDS: Final[dict[Roles, type[Party]]] = {
    Roles.CONSUMER: Consumer,
    Roles.PROVIDER: Provider,
    Roles.REGULATOR: Regulator,
}


P = TypeVar("P", bound=Party)


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
        self.city = City(
            deployment, addresses.gateway, addresses.identity, addresses.node, addresses.keyholders
        )
        self.outcomes: Counter[Outcome] = Counter()
        """Of all accesses so far, as the consumers saw them; the replay must come to the same."""
        self._parties: dict[str, Party] = {}
        self._roles: dict[bytes, Role] = {}
        self._stack = ExitStack()

    def close(self) -> None:
        self._stack.close()
        self.node.close()

    # Parties

    @property
    def authority(self) -> Party:
        """The city's data bureau, which deployed the contracts."""
        return self._supervised("authority", "泉城市大数据局 / Quancheng Data Bureau")

    @property
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
        return self._opened(KINDS[role.roles], role)

    def provider_of(self, code: str) -> Provider:
        """Return the department that holds a dataset."""
        department = self.files.dataset(code).department.code
        role = next(role for role in self.departments if role.code == department)
        return self._opened(Provider, role)

    def consumer(self, role: Role) -> Consumer:
        return self._opened(Consumer, role)

    @property
    def regulator(self) -> Regulator:
        return self._opened(Regulator, cast.REGULATOR)

    def role_of(self, party: Party) -> Role:
        return self._roles[party.address]

    @property
    def names(self) -> dict[bytes, str]:
        """The English names of the parties so far, by address."""
        return {address: role.english for address, role in self._roles.items()}

    def _supervised(self, code: str, name: str) -> Party:
        """Return a party whose keys the supervisor drew."""
        return self._opened(Party, Role(code, name, Roles(0)), self.data / code)

    def _opened(self, kind: type[P], role: Role, home: Path | None = None) -> P:
        """Return a party; its keys are drawn when it is first asked for, unless it has a directory."""
        party = self._parties.get(role.code)
        if party is None:
            party = self._stack.enter_context(
                kind.open(self.city, home or self._drawn(role), self.password)
            )
            self._parties[role.code], self._roles[party.address] = party, role
        if not isinstance(party, kind):
            raise TypeError(f"{role.code} is no {kind.__name__}")
        return party

    def _drawn(self, role: Role) -> Path:
        """Draw a party's keys; return its directory."""
        home, account = self.data / "parties" / role.code, secrets.token_bytes(32)
        keystore = Keystore(home / "keystore", scrypt_n=SCRYPT_N)
        keystore.store(ACCOUNT, Kind.ETHEREUM_KEY, account, self.password)
        encryption = DecryptionKey.generate().to_bytes()
        keystore.store(ENCRYPTION, Kind.ENCRYPTION_KEY, encryption, self.password)
        return home

    # Ids

    def dataset(self, code: str) -> bytes:
        """Return a dataset's id."""
        return dataset_id(self.provider_of(code).address, code.encode())

    def fields(self, code: str, *names: str) -> list[str]:
        """Return the numbers of some columns of a dataset, in digits; of all without names."""
        dataset = self.files.dataset(code)
        chosen = names or tuple(field.name for field in dataset.fields)
        return [str(dataset.field_index(name)) for name in chosen]

    def mask(self, code: str, *names: str) -> int:
        """Return the bitmap of some columns of a dataset; of all without names."""
        return sum(1 << int(number) for number in self.fields(code, *names))

    def order(self, order: bytes) -> OrderState:
        """Return how an emergency order stands."""
        return self.node.send(contract_reads.order_of(self.deployment.contracts, order))

    # Making clients

    def endpoints(self) -> Endpoints:
        return Endpoints(self.addresses.gateway, self.addresses.identity, self.addresses.node)

    def ledger(self) -> ChainAccess:
        """Return how a party gets to the contracts."""
        return ChainAccess(self.deployment, own_node=True)


def send(party: Party, call: ContractCall) -> Mined:
    """Sign a transaction, send it, wait until it is final."""
    return party.run(transact(party.ledger, party.key, call))


def purpose_of(terms: PurposeTerms) -> bytes:
    """Return a purpose's id."""
    return contract_calls.purpose_id(terms)
