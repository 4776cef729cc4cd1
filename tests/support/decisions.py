"""A state in which an access is allowed, and ways to change one thing in it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ledger.chain.events.identifiers import agreement_id
from ledger.model import (
    ZERO_WORD,
    Agreement,
    Application,
    Authorization,
    Class,
    Dataset,
    Delays,
    Order,
    Outcome,
    Party,
    Purpose,
    Roles,
    State,
    Subject,
    Terms,
)
from ledger.policy import decide
from ledger.typed_data import AccessRequest

NOW = 1_800_000_000
BANK, OTHER = b"\x01" * 20, b"\x02" * 20
DATASET, OPEN, PURPOSE, ORDER, CONSENT = (bytes([number]) * 32 for number in range(10, 15))
ITEM, OTHER_ITEM = b"\x21" * 32, b"\x22" * 32
KEY, OLD, GUARD, STRANGER = (bytes([number]) * 32 for number in range(40, 44))
DELAY = 1_000


@dataclass
class Case:
    """Everything is in order; each test changes one thing."""

    state: State = field(default_factory=lambda: State(Delays(recovery=DELAY, admission=0)))

    def __post_init__(self) -> None:
        self.party = Party("bank", int(Roles.CONSUMER))
        names = ("a", "b", "c", "d")
        self.dataset = Dataset(
            DATASET, OTHER, "code", "title", names, True, Class.CONDITIONAL, Class.NOT_SHARED, 3, 0
        )
        self.purpose = Purpose("loan", 100, 5, 10, 100, fields={DATASET: 0b0111})
        application = Application(BANK, self.dataset, PURPOSE, 0b0111, signed=True)
        self.agreement = Agreement(
            agreement_id(BANK, DATASET, PURPOSE),
            1,
            BANK,
            self.dataset,
            PURPOSE,
            application,
            0b0111,
            NOW + 50,
        )
        self.subject = Subject(b"\x31" * 32, 1, OTHER, b"signer", KEY)
        self.consent = Authorization(
            self.subject,
            Terms(1, self.agreement, 0, 0b0111),
            "Bank",
            ZERO_WORD,
            NOW - 10,
            NOW + 10,
            min_interval=0,
            max_uses=3,
            uses_left=3,
            epoch=0,
        )
        self.order = Order(
            ORDER,
            DATASET,
            PURPOSE,
            Class.UNCONDITIONAL,
            0b1110,
            NOW - 10,
            NOW + 10,
            countersigned=True,
        )
        state = self.state
        state.parties[BANK] = self.party
        state.datasets[DATASET] = self.dataset
        state.purposes[PURPOSE] = self.purpose
        state.agreements[self.agreement.id] = self.agreement
        state.subjects[self.subject.id] = self.subject
        state.authorizations[CONSENT] = self.consent
        state.orders[ORDER] = self.order

    def decide(
        self,
        basis: bytes = CONSENT,
        fields: int = 0b0011,
        item: bytes = ZERO_WORD,
        deadline: int = NOW,
        nonce: int = 7,
        consumer: bytes = BANK,
    ) -> Outcome:
        request = AccessRequest(consumer, basis, item, fields, nonce, deadline)
        return decide(self.state, request, NOW)


Change = Callable[[Case], None]


def set_to(path: str, value: object) -> Change:
    *names, last = path.split(".")

    def change(case: Case) -> None:
        target: object = case
        for name in names:
            target = getattr(target, name)
        setattr(target, last, value)

    return change


def closing(starts_at: int, ends_at: int) -> Change:
    def change(case: Case) -> None:
        case.dataset.last_closing = Order(
            b"\x15" * 32, DATASET, bytes(32), Class.NOT_SHARED, 0, starts_at, ends_at
        )

    return change


def both(*changes: Change) -> Change:
    def change(case: Case) -> None:
        for change in changes:
            change(case)

    return change
