"""The seed ceremony: how each subset of keyholders comes to share a seed that nobody else knows.

For each subset the member with the lowest number draws the seed and hands it to every other member in a
`SeedPacket`: sealed (HPKE) to the member's key in the Registry, signed by the drawer's account. A
packet may travel in any way. Every member must be given the same roster, in the same order; packets
of another roster are refused. Afterwards the members compare fingerprints (`EpochSeeds.fingerprints`).

A new epoch is the same ceremony with another number, and maybe other members. Nothing is taken away:
records of an older epoch still need its seeds.

Why signed: HPKE does not say who sealed. Whoever could slip in a seed of its own would know what only
the subset may know. Source: DESIGN 3.4; docs/spec/custody.md.
"""

import base64
from collections.abc import Mapping

import msgspec

from ledger.crypto.hpke import DecryptionKey, EncryptionKey, Purpose
from ledger.crypto.secret_sharing import Roster, Seed, Subset, draw_seeds, pack, unpack
from ledger.crypto.signatures import personal_digest, sign, verify_signature
from ledger.encoding import label, prefixed, u32
from ledger.errors import LedgerError
from ledger.hexstr import from_hex, to_hex
from ledger.jsonio import UNREADABLE
from wallet.keyholder.errors import KeyholderError
from wallet.keyholder.seeds import EpochSeeds, Holdings


class SeedPacket(msgspec.Struct, frozen=True):
    """A seed on its way from the member that drew it to another member of its subset."""

    roster: bytes
    """`Roster.digest`: which ceremony this belongs to."""
    epoch: int
    subset: Subset
    sender: bytes
    """Address of the member that drew the seed: the lowest number of the subset."""
    recipient: bytes
    """Address of the member that it is sealed to."""
    sealed: bytes
    signature: bytes
    """The sender's, 65 bytes (EIP-191)."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    roster: str
    epoch: int
    subset: tuple[int, ...]
    sender: str
    recipient: str
    sealed: str
    signature: str


def begin_epoch(holdings: Holdings, roster: Roster) -> EpochSeeds:
    """Draw the seeds that this holder has to draw for an epoch, or return those drawn before.

    Store what is returned before anything is handed over: a seed is drawn once.

    Raises:
        KeyholderError: The holder is no member, or the epoch was begun with another roster.
    """
    number = roster.number_of(holdings.address)
    begun = holdings.epochs.get(roster.epoch)
    if begun is None:
        drawn = draw_seeds(roster.sharing, number, roster.epoch)
        return EpochSeeds(roster, number, {}).with_seeds(drawn)
    if begun.roster != roster:
        raise KeyholderError(
            f"epoch {roster.epoch} was begun with other members or another threshold: take the next"
        )
    return begun


def make_packets(
    seeds: EpochSeeds, account: bytes, keys: Mapping[bytes, EncryptionKey]
) -> tuple[SeedPacket, ...]:
    """Seal each seed that this holder drew to every other member of its subset.

    Args:
        seeds: The epoch, begun and stored.
        account: The holder's private key.
        keys: The members' encryption keys from the Registry, by address.

    Raises:
        KeyholderError: A member has no key.
    """
    roster, packets = seeds.roster, []
    drawn = [subset for subset in sorted(seeds.seeds) if subset[0] == seeds.number]
    for subset, member in [(mine, member) for mine in drawn for member in mine[1:]]:
        recipient = roster.members[member - 1]
        if recipient not in keys:
            raise KeyholderError(
                f"keyholder {member} ({to_hex(recipient)}) has no key in the Registry"
            )
        packet = SeedPacket(
            roster=roster.digest(),
            epoch=roster.epoch,
            subset=subset,
            sender=roster.members[seeds.number - 1],
            recipient=recipient,
            sealed=b"",
            signature=b"",
        )
        sealed = keys[recipient].seal(pack(seeds.seeds[subset]), Purpose.SEED, _context(packet))
        packet = msgspec.structs.replace(packet, sealed=sealed)
        signature = sign(personal_digest(_signed(packet)), account)
        packets.append(msgspec.structs.replace(packet, signature=signature))
    return tuple(packets)


def open_packet(packet: SeedPacket, roster: Roster, opening: DecryptionKey, address: bytes) -> Seed:
    """Return the seed in a packet after checking that it comes from whom it should.

    Raises:
        KeyholderError: It is of another ceremony, for another holder, not from the member that had
            to draw it, or does not open.
    """
    if packet.roster != roster.digest() or packet.epoch != roster.epoch:
        raise KeyholderError("the packet belongs to another roster: compare members and threshold")
    if packet.recipient != address:
        raise KeyholderError(f"the packet is for {to_hex(packet.recipient)}")
    number = roster.number_of(address)
    if packet.subset not in roster.sharing.subsets_of(number):
        raise KeyholderError(f"keyholder {number} is not in subset {packet.subset}")
    drawer = roster.members[packet.subset[0] - 1]
    if packet.sender != drawer:
        raise KeyholderError(f"keyholder {packet.subset[0]} draws subset {packet.subset}")
    try:
        verify_signature(personal_digest(_signed(packet)), packet.signature, drawer)
        opened = opening.open(packet.sealed, Purpose.SEED, _context(packet))
        seed = unpack(opened, Seed)
    except LedgerError as error:
        raise KeyholderError(f"the packet of subset {packet.subset}: {error}") from error
    if (seed.epoch, seed.subset) != (packet.epoch, packet.subset):
        raise KeyholderError(f"the packet of subset {packet.subset} holds another seed")
    return seed


def encode_packet(packet: SeedPacket) -> bytes:
    """Write a packet as a JSON file. It holds nothing that is not sealed."""
    file = _File(
        1,
        to_hex(packet.roster),
        packet.epoch,
        packet.subset,
        to_hex(packet.sender),
        to_hex(packet.recipient),
        base64.b64encode(packet.sealed).decode("ascii"),
        to_hex(packet.signature),
    )
    return msgspec.json.format(msgspec.json.encode(file)) + b"\n"


def decode_packet(data: bytes) -> SeedPacket:
    """Read a packet; raises `KeyholderError` for anything else."""
    try:
        file = msgspec.json.decode(data, type=_File)
        return SeedPacket(
            roster=from_hex(file.roster, 32),
            epoch=file.epoch,
            subset=file.subset,
            sender=from_hex(file.sender, 20),
            recipient=from_hex(file.recipient, 20),
            sealed=base64.b64decode(file.sealed, validate=True),
            signature=from_hex(file.signature),
        )
    except (*UNREADABLE, ValueError, LedgerError) as error:
        raise KeyholderError(f"not a seed packet: {error}") from error


def _context(packet: SeedPacket) -> bytes:
    """Bind a sealed seed to the ceremony, its subset, from whom, to whom."""
    subset = b"".join([u32(member) for member in packet.subset])
    return packet.roster + prefixed(subset) + packet.sender + packet.recipient


def _signed(packet: SeedPacket) -> bytes:
    return label("seed-packet") + _context(packet) + prefixed(packet.sealed)
