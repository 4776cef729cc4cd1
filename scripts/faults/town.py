"""Setting of a fault run: a chain, keyholders' seeds, people with records, two banks, two recorders."""

from pathlib import Path
from typing import Final

from ledger.chain import contract_calls
from ledger.chain.embedded import Node, NodeSettings
from ledger.crypto.records import encode_line
from ledger.model import Roles
from scripts.processes import free_port
from scripts.scenario import Chain, Party, PersonalData, make_keyholders
from wallet.client.datasets import wait_for_publication
from wallet.client.party import ChainAccess, PartyKey
from wallet.client.retry import with_retries
from wallet.client.transports import Client, Endpoints
from wallet.client.uploads import begin_upload, seal_upload, send_lines, serve_publication

BLOCK_TIME: Final = 0.1
SECOND_RECORDER: Final = Party("Second gateway", Roles.RECORDER)


class Town(PersonalData):
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
            super().__init__(Chain(self.node), make_keyholders(3, 2))
            chain, terms = self.chain, self.terms
            chain.admit(SECOND_RECORDER)
            for consumer in chain.parties.consumers:
                chain.send(consumer, contract_calls.name_recorder(SECOND_RECORDER.address))
            chain.agree(chain.parties.insurer, terms.dataset, terms.purpose, bind=False)
            self.add_people(people)
            self.node.checkpoint()
        except BaseException:
            self.node.stop()
            raise

    def close(self) -> None:
        """End the node."""
        self.chain.close()
        self.node.stop()

    def publish(self, gateway: str) -> None:
        """Upload all records to a gateway, publish them on chain, have them served."""
        chain, dataset = self.chain, self.terms.dataset
        key = PartyKey(chain.parties.provider.private_key)
        endpoints = Endpoints(gateway, node=self.node.url)
        with Client(endpoints, key=key, chain_id=chain.deployment.chain_id) as client:
            upload = client.run(with_retries(begin_upload(dataset, 0))).upload
            lines = b"".join(map(encode_line, self.sort_records()))
            client.run(with_retries(send_lines(upload, 0, lines)))
            head = client.run(with_retries(seal_upload(upload)))
            chain.publish(dataset, head.root, head.size)
            ledger = ChainAccess(chain.deployment, own_node=True)
            version = client.run(wait_for_publication(ledger, dataset, head))
            client.run(with_retries(serve_publication(upload, version)))
