"""A department with its files at a real gateway with real keyholders; only the owners are made up."""

import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from ledger.chain import contract_reads
from ledger.crypto.merkle import TreeHead
from scripts.city.delta import Amounts, make_delta
from scripts.city.manifest import read_manifest
from scripts.city.population import make_city as make_people
from tests.support.city import City
from tests.support.keyholders import register_key
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.transports import Client, Endpoints
from wallet.provider.agreements import register_dataset
from wallet.provider.description import KeyKind, read_description
from wallet.provider.publisher import Publisher, Stage
from wallet.provider.services import RemoteServices

Tell = Callable[[Stage, int, int | None], None]


def owner_of(dataset: bytes, key: str) -> bytes:
    return sha256(dataset + key.encode()).digest()


class WithoutIdentityAuthority(RemoteServices):
    """Everything real but the owners."""

    def owners(self, dataset: bytes, kind: KeyKind, keys: Sequence[str]) -> list[bytes]:
        return [owner_of(dataset, key) for key in keys]


class Department:
    """The real estate registry, with files in `files`."""

    def __init__(self, town: City, files: Path, workspace: Path, url: str, *, node: bool) -> None:
        chain = town.chain
        party = chain.parties.provider
        endpoints = Endpoints(url, node=chain.node.url if node else "")
        self.key = PartyKey(party.private_key)
        self.client = Client(endpoints, key=self.key, chain_id=chain.deployment.chain_id)
        self.ledger = ChainAccess(chain.deployment, own_node=node)
        self.opening = register_key(chain, party)
        self.files, self.workspace, self.town = files, workspace, town
        described = read_description(files / "datasets.json", "real-estate")
        # Several on one chain: people must know their data apart.
        name = f"estates-{secrets.token_hex(4)}"
        self.description = msgspec.structs.replace(
            described, code=f"estates-{workspace}-{node}", title_zh="", title_en=name
        )
        self.file = files / described.file
        terms = self.description.terms()
        self.dataset = self.client.run(register_dataset(self.ledger, self.key, terms)).dataset

    def services(self, client: Client | None = None) -> WithoutIdentityAuthority:
        """What publishing asks of others, as the department or as another client."""
        urls = self.town.keyholders.urls
        return WithoutIdentityAuthority(client or self.client, self.ledger, self.opening, urls)

    def publisher(self, tell: Tell = lambda *_: None) -> Publisher:
        return Publisher(self.description, self.dataset, self.services(), self.workspace, tell)

    def changed_file(self, target: Path, amounts: Amounts, source: Path | None = None) -> Path:
        """Write the next version of a file: some records changed, some new, some withdrawn."""
        manifest = read_manifest(self.files)
        people = make_people(manifest.seed, manifest.people, manifest.enterprises)
        dataset = manifest.dataset("real-estate")
        source = source or self.file
        make_delta(people, dataset, source=source, target=target, seed=1, amounts=amounts)
        return target

    def on_chain(self, version: int) -> TreeHead:
        chain = self.town.chain
        found = chain.rpc.send(
            contract_reads.publication_of(chain.contracts, self.dataset, version)
        )
        return TreeHead(found.count, found.root)

    def close(self) -> None:
        self.client.close()
