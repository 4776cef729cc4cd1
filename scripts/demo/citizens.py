"""A person in the story: enrolled at the counter, with a wallet of one key."""

import secrets
import time

from scripts.demo.files import Resident
from scripts.demo.world import World
from wallet.citizen import acts, history
from wallet.citizen.acts import GrantedAuthorization
from wallet.citizen.enrolment import NewId, enrol_person
from wallet.citizen.proposal import propose
from wallet.client.identity import Person, PersonKind, issue_code
from wallet.client.party import PartyKey
from wallet.client.relays import Act
from wallet.client.retry import with_retries
from wallet.client.signers import AccountSigner
from wallet.client.transports import Client
from wallet.consumer.cases import Case


class Citizen:
    """A person with a wallet."""

    def __init__(self, world: World, resident: Resident) -> None:
        self.world = world
        self.resident = resident
        self.person = Person(PersonKind.RESIDENT, resident.resident_id, resident.name)
        self.signer = new_signer()
        self.client = Client(world.endpoints(), chain_id=world.deployment.chain_id)
        code = world.officer.run(with_retries(issue_code(self.person, "identity card"))).code
        (mine,) = self.client.run(
            enrol_person(world.ledger(), self.person, code, [NewId(self.signer)])
        )
        self.subject = bytes.fromhex(mine.subject.removeprefix("0x"))

    def answer(self, case: Case, *, aloud: bool = False) -> GrantedAuthorization:
        """Open the inbox, read the exact statement, and grant what a case asks for."""
        waiting = self.client.run(history.inbox([self.signer]))
        asked = next(one for one in waiting if one.request == case.request)
        proposal = self.client.run(propose(self.world.ledger(), asked, int(time.time())))
        if aloud:
            self.world.stage.show_statement(proposal.statement)
        return self.client.run(acts.grant(self.world.deployment, self.signer, proposal))

    def revoke(self, authorization: bytes) -> None:
        """End an authorization for good."""
        self.act(acts.revocation(self.subject, authorization))

    def freeze(self, *, frozen: bool) -> None:
        """Freeze everything, or let it go on."""
        self.act(acts.freeze(self.subject, frozen=frozen))

    def act(self, what: Act) -> None:
        """Sign an act and bring it on chain.

        Raises:
            RefusedError: the contract refuses; `error` says why.
        """
        self.client.run(acts.act(self.world.deployment, self.signer, what))


def new_signer() -> AccountSigner:
    """Draw a key, as a wallet does."""
    return AccountSigner(PartyKey(secrets.token_bytes(32)))
