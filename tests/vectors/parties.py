"""Vectors of key files, identity texts, the ceremony, parts statements and the quality report.

Salts, initialization vectors and an HPKE ephemeral key are made from names, so the key files and the seed
packet are laid out by hand here; the tests open them with the library.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from ledger.crypto.hpke import DecryptionKey
from ledger.crypto.secret_sharing import Sharing, pack
from ledger.crypto.signatures import address_of, personal_digest, sign
from ledger.encoding import prefixed, u32, u64
from ledger.hexstr import checksum_address, from_hex, keccak256, to_hex
from ledger.identifiers import credit_check_character, resident_check_character
from ledger.typed_data import AccessRequest, Domain, digest, domain_separator, record_to_object
from tests.vectors.cryptography import EPOCH, seal_by_hand, seeds_of
from tests.vectors.files import CHAIN_ID, NOW, named, text_of
from tests.vectors.signed_records import PASSKEY, SUBJECT_KEY, VERIFIER
from wallet.provider.quality import Defect, DefectKind, QualityReport

PASSWORD: Final = "a password 密码"
SCRYPT_N: Final = 2**12
OWNER_SECRET: Final = named("owner secret")
AUTHORITY: Final = address_of(named("identity authority's key"))
OPENING: Final = b"\x01" + named("opening key 1")
RESIDENT: Final = "37010219900101001"
ENTERPRISE: Final = "91370100MA3ABCDE1"
SHARING: Final = Sharing(2, 3)
MEMBER_KEYS: Final = tuple(named(f"keyholder {number}'s key") for number in (1, 2, 3))
MEMBERS: Final = tuple(address_of(key) for key in MEMBER_KEYS)
SUBSET: Final = (1, 3)
INDICES: Final = (0, 2)
CHALLENGE_KEY: Final = named("challenge key")
BARE_NONCE: Final = u32(NOW + 300).hex() + named("nonce of a challenge").hex()[:8] + "0" * 16
STATED: Final = ((7, named("salt of record 7")), (8, named("salt of record 8")))
"""Records whose parts are signed: number and salt."""
ACCESS_LOG: Final = address_of(named("access log"))
REGISTRY: Final = address_of(named("registry"))
DOMAIN: Final = Domain(CHAIN_ID, ACCESS_LOG)
REQUEST: Final = AccessRequest(
    consumer=address_of(SUBJECT_KEY),
    basis=named("basis"),
    item=bytes(32),
    fields=0b101,
    nonce=int.from_bytes(named("nonce of the request"), "big"),
    deadline=NOW + 300,
)
OTHER_REQUEST: Final = msgspec.structs.replace(REQUEST, nonce=REQUEST.nonce + 1)
BESIDE: Final = msgspec.structs.replace(REQUEST, nonce=REQUEST.nonce + 2)
"""What is answered together with the request."""


def make_files() -> dict[str, str]:
    return {
        "keystore.json": text_of(keystore_vectors()),
        "identity.json": text_of(identity_vectors()),
        "ceremony.json": text_of(ceremony_vectors()),
        "parts-statements.json": text_of(statement_vectors()),
        "quality-report.json": text_of(quality_vectors()),
    }


# Key files


def keystore_vectors() -> dict[str, Any]:
    """An Ethereum key, a private HPKE key, a passkey, and other bytes, all under one password."""
    opening = DecryptionKey(OPENING)
    entries = (
        ("account", "ethereum-key", SUBJECT_KEY, address_of(SUBJECT_KEY)),
        ("encryption", "encryption-key", OPENING, opening.encryption_key.to_bytes()),
        ("phone", "passkey", PASSKEY.to_secret(), PASSKEY.public_key),
        ("owner-secret", "other", OWNER_SECRET, b""),
    )
    return {
        "password": PASSWORD,
        "entries": [key_file(*entry) for entry in entries],
    }


def key_file(name: str, kind: str, secret: bytes, public: bytes) -> dict[str, Any]:
    """Return a keystore's entry, laid out by hand."""
    bound = b""
    if kind != "ethereum-key":
        parts = (kind.encode(), name.encode(), public)
        bound = b"quancheng/1/keystore" + b"".join(map(prefixed, parts))
    crypto = envelope(bound + secret, named(f"salt of {name}"), named(f"iv of {name}")[:16])
    compact = json.dumps(crypto, separators=(",", ":")).encode()
    file: dict[str, Any] = {"version": 3, "id": _uuid(name), "crypto": crypto}
    if kind == "ethereum-key":
        file["address"] = public.hex()
    checksum = hashlib.sha256(compact).digest()
    file["quancheng"] = {"kind": kind, "public": to_hex(public), "checksum": to_hex(checksum)}
    return {
        "name": name,
        "kind": kind,
        "public": to_hex(public),
        "secret": to_hex(secret),
        "plaintext": to_hex(bound + secret),
        "file": file,
    }


def envelope(plaintext: bytes, salt: bytes, iv: bytes) -> dict[str, Any]:
    """Return the `crypto` member of a V3 file: scrypt, AES-128-CTR, Keccak-256."""
    key = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=SCRYPT_N, r=8, p=1, dklen=32)
    encryptor = Cipher(AES(key[:16]), CTR(iv)).encryptor()
    ciphertext = encryptor.update(plaintext) + encryptor.finalize()
    return {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": iv.hex()},
        "ciphertext": ciphertext.hex(),
        "kdf": "scrypt",
        "kdfparams": {"dklen": 32, "n": SCRYPT_N, "r": 8, "p": 1, "salt": salt.hex()},
        "mac": keccak256(key[16:32] + ciphertext).hex(),
    }


def _uuid(name: str) -> str:
    digits = named(f"uuid of {name}").hex()
    return "-".join(
        (digits[:8], digits[8:12], "4" + digits[13:16], "a" + digits[17:20], digits[20:32])
    )


# People


def identity_vectors() -> dict[str, Any]:
    """Owners, the texts that signers sign for the identity authority, and a gateway's challenge."""
    numbers = (
        ("resident", RESIDENT + resident_check_character(RESIDENT)),
        ("enterprise", ENTERPRISE + credit_check_character(ENTERPRISE)),
    )
    return {
        "owner_secret": to_hex(OWNER_SECRET),
        "owners": [
            owner_vector(kind, number, named(dataset))
            for kind, number in numbers
            for dataset in ("dataset", "another dataset")
        ],
        "chain_id": CHAIN_ID,
        "authority": to_hex(AUTHORITY),
        "account": to_hex(address_of(SUBJECT_KEY)),
        "verifier": to_hex(VERIFIER),
        "passkey": to_hex(PASSKEY.signer(VERIFIER)),
        "possession": [
            {"purpose": purpose, "name": name, "value": value}
            | with_passkey(signed_text(possession_text(purpose, name, value)))
            for purpose, name, value in (
                ("enrolment", "code", "7KQ2-M0RT-XA94-9HEB"),
                ("subjects", "subject", to_hex(named("subject"))),
                ("recovery", "person", numbers[0][1]),
            )
        ],
        "challenge_key": to_hex(CHALLENGE_KEY),
        "challenges": [
            signed_text(challenge(address_of(SUBJECT_KEY), "Ethereum account")),
            with_passkey(signed_text(challenge(PASSKEY.signer(VERIFIER), "passkey"))),
        ],
        "sessions": [
            signed_text(session(address_of(SUBJECT_KEY))),
            with_passkey(signed_text(session(PASSKEY.signer(VERIFIER)))),
        ],
        "now": NOW,
        "not_to_be_signed": not_to_be_signed(),
    }


def not_to_be_signed() -> list[dict[str, Any]]:
    """Texts that a wallet with the account refuses: handed over by the gateway or the authority of above."""
    signer = address_of(SUBJECT_KEY)
    sign_in, own = challenge(signer, "Ethereum account"), session(signer)
    other, later = address_of(MEMBER_KEYS[0]), "2026-11-30T00:5"
    changes = {
        "gateway": (
            ("the identity authority's", own),
            ("a proof of possession", possession_text("enrolment", "code", "7KQ2-M0RT-XA94-9HEB")),
            ("another host", sign_in.replace("gateway.example wants", "gateway.other wants")),
            ("another URI", sign_in.replace("https://gateway.example", "https://gateway.other")),
            ("another scheme", sign_in.replace("https://", "http://")),
            ("another gateway's", sign_in.replace("gateway.example", "gateway.other")),
            ("another signer", sign_in.replace(checksum_address(signer), checksum_address(other))),
            ("without checksum", sign_in.replace(checksum_address(signer), to_hex(signer))),
            ("another kind of signer", sign_in.replace("Ethereum account", "passkey")),
            ("another statement", sign_in.replace("Sign in to", "Sign out of")),
            ("another version", sign_in.replace("Version: 1", "Version: 2")),
            ("another chain", sign_in.replace(f"Chain ID: {CHAIN_ID}", "Chain ID: 1")),
            ("no nonce", sign_in.replace("Nonce: ", "Number: ")),
            (
                "a short nonce",
                sign_in[: sign_in.index("\nIssued") - 1] + sign_in[sign_in.index("\nIssued") :],
            ),
            ("lasts too long", sign_in.replace(later + "8:20Z", later + "8:21Z")),
            ("ends before it begins", sign_in.replace(later + "8:20Z", later + "3:19Z")),
            ("over", sign_in.replace(later, "2026-11-29T00:5")),
            ("of tomorrow", sign_in.replace(later, "2026-12-01T00:5")),
            ("a time that is none", sign_in.replace(later + "3:20Z", "2026-11-31T00:53:20Z")),
            ("one line more", sign_in + "\nResources:"),
            ("one line before", "Quancheng session\n" + sign_in),
            ("other line ends", sign_in.replace("\n", "\r\n")),
        ),
        "identity": (
            ("the gateway's", sign_in),
            ("a proof of possession", possession_text("enrolment", "code", "7KQ2-M0RT-XA94-9HEB")),
            ("another purpose", own.replace("Quancheng session", "Quancheng recovery")),
            ("another chain", own.replace(f"chain {CHAIN_ID}", "chain 1")),
            ("no authority", own.replace(f"authority {to_hex(AUTHORITY)}", "authority 0x")),
            ("two authorities", own.replace("\nhost", f"\nauthority {to_hex(other)}\nhost")),
            ("another host", own.replace("identity.example", "identity.other")),
            ("another signer", own.replace(to_hex(signer), to_hex(other))),
            ("no nonce", own.replace("nonce ", "number ")),
            ("lasts too long", own.replace(later + "8:20Z", later + "8:21Z")),
            ("over", own.replace(later, "2026-11-29T00:5")),
            ("of tomorrow", own.replace(later, "2026-12-01T00:5")),
            ("one line more", own + "\n"),
        ),
    }
    return [
        {"by": by, "what": what, "text": text.split("\n")}
        for by, texts in changes.items()
        for what, text in texts
    ]


def owner_vector(kind: str, number: str, dataset: bytes) -> dict[str, str]:
    """Return under which pseudonym somebody is in a dataset."""
    message = b"quancheng/1/owner" + dataset + prefixed(kind.encode()) + prefixed(number.encode())
    return {
        "kind": kind,
        "number": number,
        "dataset": to_hex(dataset),
        "message": to_hex(message),
        "owner": to_hex(hmac.digest(OWNER_SECRET, message, "sha256")),
    }


def possession_text(purpose: str, name: str, value: str) -> str:
    """Return what a signer signs to show the identity authority that somebody has it."""
    authority = to_hex(AUTHORITY)
    return f"Quancheng {purpose}\nchain {CHAIN_ID}\nauthority {authority}\n{name} {value}"


def challenge(signer: bytes, kind: str) -> str:
    """Return what a signer signs to begin a session at a gateway."""
    who = to_hex(signer) if kind == "passkey" else checksum_address(signer)
    lines = (
        f"gateway.example wants you to sign in with your {kind}:",
        who,
        "",
        "Sign in to Quancheng. 登录泉城数据网关。",
        "",
        "URI: https://gateway.example",
        "Version: 1",
        f"Chain ID: {CHAIN_ID}",
        f"Nonce: {BARE_NONCE}",
        "Issued At: 2026-11-30T00:53:20Z",
        "Expiration Time: 2026-11-30T00:58:20Z",
    )
    return with_proof(signer, "\n".join(lines))


def session(signer: bytes) -> str:
    """Return what a signer signs to begin a session at the identity authority."""
    lines = (
        "Quancheng session",
        f"chain {CHAIN_ID}",
        f"authority {to_hex(AUTHORITY)}",
        "host identity.example",
        f"signer {to_hex(signer)}",
        f"nonce {BARE_NONCE}",
        "issued 2026-11-30T00:53:20Z",
        "expires 2026-11-30T00:58:20Z",
    )
    return with_proof(signer, "\n".join(lines))


def with_proof(signer: bytes, bare: str) -> str:
    """Return a challenge with the half of its nonce by which its service knows it again."""
    mac = hmac.new(CHALLENGE_KEY, signer + b"\n" + bare.encode(), "sha256").hexdigest()
    return bare.replace(BARE_NONCE, BARE_NONCE[:16] + mac[:16])


def signed_text(text: str) -> dict[str, Any]:
    """Return a text with its digest and the account's signature."""
    digest = personal_digest(text.encode())
    return {
        "text": text.split("\n"),
        "digest": to_hex(digest),
        "by_account": to_hex(sign(digest, SUBJECT_KEY)),
    }


def with_passkey(signed: dict[str, Any]) -> dict[str, Any]:
    """Return a signed text with a passkey's signature beside the account's."""
    digest = personal_digest("\n".join(signed["text"]).encode())
    return signed | {"by_passkey": to_hex(PASSKEY.sign(digest))}


# The seed ceremony


def ceremony_vectors() -> dict[str, Any]:
    """A roster, a seed on its way from keyholder 1 to keyholder 3, and fingerprints."""
    roster = b"quancheng/1/ceremony" + u32(EPOCH) + u32(SHARING.threshold) + u32(len(MEMBERS))
    digest = hashlib.sha256(roster + b"".join(MEMBERS)).digest()
    fingerprint = b"quancheng/1/fingerprint" + digest
    return {
        "epoch": EPOCH,
        "threshold": SHARING.threshold,
        "members": [to_hex(member) for member in MEMBERS],
        "member_keys": [to_hex(key) for key in MEMBER_KEYS],
        "roster": to_hex(digest),
        "packet": packet_vector(digest),
        "fingerprints": [
            {
                "subset": list(seed.subset),
                "seed": to_hex(seed.secret),
                "fingerprint": hmac.digest(seed.secret, fingerprint, "sha256")[:8].hex(),
            }
            for seed in seeds_of(SHARING)
        ],
    }


def packet_vector(roster: bytes) -> dict[str, Any]:
    """Return a seed packet, laid out by hand."""
    seed = next(one for one in seeds_of(SHARING) if one.subset == SUBSET)
    sender, recipient = MEMBERS[SUBSET[0] - 1], MEMBERS[SUBSET[1] - 1]
    context = roster + prefixed(b"".join(map(u32, SUBSET))) + sender + recipient
    public = DecryptionKey(OPENING).encryption_key.to_bytes()[1:]
    info = b"quancheng/1/seed" + prefixed(context)
    ephemeral = named("ephemeral key of the packet")
    sealed = b"\x01\x01" + seal_by_hand(ephemeral, public, info, pack(seed))
    signed = b"quancheng/1/seed-packet" + context + prefixed(sealed)
    return {
        "opening_key": to_hex(OPENING),
        "ephemeral_key": to_hex(ephemeral),
        "seed": to_hex(seed.secret),
        "plaintext": to_hex(pack(seed)),
        "context": to_hex(context),
        "signed": to_hex(signed),
        "file": _packet_file(roster, sealed, sign(personal_digest(signed), MEMBER_KEYS[0])),
    }


# What keyholders sign of the parts that they released


def statement_vectors() -> dict[str, Any]:
    """Three keyholders' statements about the same two records, each signed beside another; the third one's parts are wrong."""
    stating = Stating(DOMAIN, _roster(MEMBERS))
    secrets = {seed.subset: (named(f"parts {seed.subset}") * 2) for seed in seeds_of(SHARING)}
    wrong = _garbled(secrets)
    told = [stating.vector(number, secrets if number < 3 else wrong) for number in (1, 2, 3)]
    right = told[:2]
    elsewhere = {
        "on_another_chain": Stating(Domain(CHAIN_ID + 1, ACCESS_LOG), stating.roster),
        "of_another_access_log": Stating(Domain(CHAIN_ID, REGISTRY), stating.roster),
        "of_another_deployments_roster": Stating(DOMAIN, _roster(MEMBERS[::-1])),
        "about_another_request": Stating(DOMAIN, stating.roster, OTHER_REQUEST),
    }
    of_number_2 = stating.vector(3, secrets, says=2)
    return {
        "chain_id": CHAIN_ID,
        "access_log": to_hex(ACCESS_LOG),
        "domain_separator": to_hex(domain_separator(DOMAIN)),
        "epoch": EPOCH,
        "threshold": SHARING.threshold,
        "members": [to_hex(member) for member in MEMBERS],
        "member_keys": [to_hex(key) for key in MEMBER_KEYS],
        "roster": to_hex(stating.roster),
        "request": record_to_object(REQUEST),
        "digest": to_hex(digest(REQUEST, DOMAIN)),
        "records": [
            {"number": number, "salt": to_hex(salt), "indices": list(INDICES)}
            for number, salt in STATED
        ],
        "statements": told,
        "wrong_parts": to_hex(_wrong_parts(MEMBERS[2], told)),
        "wrong_number": to_hex(_wrong_parts(MEMBERS[2], [of_number_2])),
        "refused": {
            "of_one_that_was_right": to_hex(_wrong_parts(MEMBERS[0], told)),
            "with_too_few_others": to_hex(_wrong_parts(MEMBERS[2], told[1:])),
            **{
                name: to_hex(_wrong_parts(MEMBERS[2], [*right, one.vector(3, wrong)]))
                for name, one in elsewhere.items()
            },
        },
        "four_of_five": four_of_five_vectors(),
        "shows_who_it_is": identity_of_keyholder_vectors(stating.roster),
    }


def identity_of_keyholder_vectors(roster: bytes) -> dict[str, Any]:
    """What keyholder 1 signs for a gateway's nonce, and of the subkeys that it hands to a provider."""
    nonce, sealed = named("nonce of a gateway"), named("sealed subkeys")
    dataset, provider = named("dataset"), address_of(named("provider's key"))
    separator = domain_separator(DOMAIN)
    holder = b"quancheng/1/holder" + separator + nonce
    subkeys = b"quancheng/1/handed-subkeys" + separator + roster + dataset + provider
    return {
        "nonce": to_hex(nonce),
        "holder": to_hex(sign(personal_digest(holder), MEMBER_KEYS[0])),
        "dataset": to_hex(dataset),
        "provider": to_hex(provider),
        "sealed": to_hex(sealed),
        "subkeys": to_hex(sign(personal_digest(subkeys + prefixed(sealed)), MEMBER_KEYS[0])),
    }


def four_of_five_vectors() -> dict[str, Any]:
    """Five keyholders, four are needed: the first three collude against the fourth, and cannot show that it was wrong."""
    sharing = Sharing(4, 5)
    keys = [named(f"keyholder {number}'s key") for number in range(1, 6)]
    members = [address_of(key) for key in keys]
    roster = _roster(members, sharing.threshold)
    stating = Stating(DOMAIN, roster, keys=keys)
    secrets = {subset: named(f"parts {subset}") * 2 for subset in sharing.subsets}
    wrong = {**secrets, **_garbled({one: secrets[one] for one in ((1, 4), (2, 4), (3, 4))})}
    told = [stating.vector(number, wrong if number < 4 else secrets) for number in range(1, 6)]
    by_all = [stating.vector(n, _garbled(secrets) if n == 4 else secrets) for n in range(1, 6)]
    return {
        "members": [to_hex(member) for member in members],
        "threshold": sharing.threshold,
        "roster": to_hex(roster),
        "wrong_parts": to_hex(_wrong_parts(members[3], by_all)),
        "refused": {"three_against_one": to_hex(_wrong_parts(members[3], told))},
    }


@dataclass(frozen=True)
class Stating:
    """Where keyholders sign: what they say, laid out by hand. Each statement is the second of two."""

    domain: Domain
    roster: bytes
    request: AccessRequest = REQUEST
    keys: Sequence[bytes] = MEMBER_KEYS

    def vector(
        self, number: int, secrets: Mapping[tuple[int, ...], bytes], says: int | None = None
    ) -> dict[str, Any]:
        mine = {subset: secret for subset, secret in secrets.items() if number in subset}
        asked = digest(self.request, self.domain)
        beside = digest(BESIDE, self.domain)
        about = hashlib.sha256(b"quancheng/1/parts-about" + b"".join(map(_stated, STATED))).digest()
        said = says or number
        first, second = (self._leaf(one, said, about, mine) for one in (beside, asked))
        root = hashlib.sha256(b"\x01" + first + second).digest()
        text = b"quancheng/1/released-parts" + domain_separator(self.domain) + u32(2) + root
        signature = sign(personal_digest(text), self.keys[number - 1])
        return {
            "holder": to_hex(address_of(self.keys[number - 1])),
            "number": said,
            "parts": [
                {"subset": list(subset), "of_each_record": to_hex(secret)}
                for subset, secret in mine.items()
            ],
            "request": to_hex(asked),
            "roster": to_hex(self.roster),
            "about": to_hex(about),
            "hashes": [to_hex(self._hash(asked, about, *item)) for item in mine.items()],
            "leaf": to_hex(second),
            "root": to_hex(root),
            "signed": to_hex(signature + root + u32(1) + u32(2) + first),
        }

    def _hash(self, asked: bytes, about: bytes, subset: tuple[int, ...], secret: bytes) -> bytes:
        members = prefixed(b"".join(map(u32, subset)))
        begin = b"quancheng/1/parts" + asked + about + self.roster + members
        return hashlib.sha256(begin + prefixed(secret) * len(STATED)).digest()

    def _leaf(
        self, asked: bytes, said: int, about: bytes, secrets: Mapping[tuple[int, ...], bytes]
    ) -> bytes:
        hashes = [
            prefixed(b"".join(map(u32, subset))) + self._hash(asked, about, subset, secret)
            for subset, secret in secrets.items()
        ]
        epoch = self.roster + u32(said) + about + u32(len(hashes)) + b"".join(hashes)
        text = b"quancheng/1/parts-statement" + asked + u32(1) + epoch
        return hashlib.sha256(b"\x00" + text).digest()


def _roster(members: Sequence[bytes], threshold: int = SHARING.threshold) -> bytes:
    sizes = u32(EPOCH) + u32(threshold) + u32(len(members))
    return hashlib.sha256(b"quancheng/1/ceremony" + sizes + b"".join(members)).digest()


def _stated(record: tuple[int, bytes]) -> bytes:
    number, salt = record
    return u64(number) + prefixed(salt) + prefixed(b"".join(map(u32, INDICES)))


def _garbled(secrets: Mapping[tuple[int, ...], bytes]) -> dict[tuple[int, ...], bytes]:
    return {subset: secret[::-1] for subset, secret in secrets.items()}


def _wrong_parts(accused: bytes, told: Sequence[dict[str, Any]]) -> bytes:
    statements = [
        [
            from_hex(one["holder"]),
            [
                from_hex(one["request"]),
                [
                    [
                        from_hex(one["roster"]),
                        one["number"],
                        from_hex(one["about"]),
                        [
                            [parts["subset"], from_hex(found)]
                            for parts, found in zip(one["parts"], one["hashes"], strict=True)
                        ],
                    ]
                ],
            ],
            from_hex(one["signed"]),
        ]
        for one in told
    ]
    request = [
        *(REQUEST.consumer, REQUEST.basis, REQUEST.item),
        *(REQUEST.fields.to_bytes(32, "big"), REQUEST.nonce.to_bytes(32, "big")),
        REQUEST.deadline,
    ]
    return b"\x01" + msgspec.msgpack.encode(["wrong-parts", accused, request, statements])


def _packet_file(roster: bytes, sealed: bytes, signature: bytes) -> Mapping[str, Any]:
    return {
        "v": 1,
        "roster": to_hex(roster),
        "epoch": EPOCH,
        "subset": list(SUBSET),
        "sender": to_hex(MEMBERS[SUBSET[0] - 1]),
        "recipient": to_hex(MEMBERS[SUBSET[1] - 1]),
        "sealed": base64.b64encode(sealed).decode("ascii"),
        "signature": to_hex(signature),
    }


# The quality report


def quality_vectors() -> dict[str, Any]:
    report = QualityReport(
        dataset="real-estate",
        unit="line",
        records=1000,
        sound=998,
        counts=((DefectKind.WRONG_CHECK_CHARACTER, 1), (DefectKind.WRONG_TYPE, 1)),
        defects=(
            Defect(17, DefectKind.WRONG_CHECK_CHARACTER, "证件号码"),
            Defect(402, DefectKind.WRONG_TYPE, "面积 / area", "not a number"),
        ),
        remarks=("the description names no update cycle",),
    )
    return {"report": report.encode().decode(), "manifest": to_hex(report.digest())}
