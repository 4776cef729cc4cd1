"""Secrets on disk: only with the password, never half written, never passed off as another."""

import getpass
import json
import logging
import os
import stat
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.crypto.keyfile import MIN_SCRYPT_N
from ledger.crypto.signatures import address_of, decode_assertion, verify_assertion, verify_signer
from ledger.errors import SigningError
from ledger.hexstr import keccak256
from tests.support.errors import of_kind
from wallet.errors import KeystoreError, KeystoreErrorKind
from wallet.keystore import Entry, Keystore, Kind, SoftwarePasskey
from wallet.passwords import (
    Descriptor,
    Environment,
    Password,
    Prompt,
    parse_source,
    read_password,
)

KEY = b"\x46" * 32
ADDRESS = address_of(KEY)
SEEDS = b"three seeds of thirty-two bytes"
PASSWORD_TEXT = "口令 with blanks"
PASSWORD = Password(PASSWORD_TEXT)
OTHER_PASSWORD = Password("another")
not_as_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keys", scrypt_n=MIN_SCRYPT_N)


def edit(keystore: Keystore, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    path = keystore.directory / f"{name}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_secret_comes_back_with_its_password(keystore: Keystore) -> None:
    for kind, secret in [
        (Kind.ETHEREUM_KEY, KEY),
        (Kind.ENCRYPTION_KEY, b"\x01" * 33),
        (Kind.SEEDS, SEEDS * 100),
        (Kind.OTHER, b""),
    ]:
        keystore.store(kind.value, kind, secret, PASSWORD)
        assert keystore.load(kind.value, kind, PASSWORD) == secret


def test_entries_are_listed_without_password(keystore: Keystore) -> None:
    assert keystore.entries() == ()
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD, public=b"epoch 1")
    keystore.store("bank", Kind.ETHEREUM_KEY, KEY, PASSWORD)
    expected = (
        Entry("bank", Kind.ETHEREUM_KEY, ADDRESS),
        Entry("seeds", Kind.SEEDS, b"epoch 1"),
    )
    assert keystore.entries() == expected
    assert Keystore(keystore.directory).entry("bank") == expected[0]


def test_other_files_in_the_directory_are_left_alone(keystore: Keystore) -> None:
    for name in ("README", "UTC--2026.json", ".hidden.json"):
        (keystore.directory / name).touch()
    assert keystore.entries() == ()


def test_nothing_of_the_secret_is_in_the_directory(keystore: Keystore) -> None:
    keystore.store("bank", Kind.ETHEREUM_KEY, KEY, PASSWORD)
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD)
    on_disk = b"".join(path.read_bytes() for path in keystore.directory.iterdir())
    for secret in (KEY, SEEDS):
        assert secret not in on_disk
        assert secret.hex().encode() not in on_disk
    assert len(list(keystore.directory.iterdir())) == 2


def test_nothing_is_logged(keystore: Keystore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keystore.store("bank", Kind.ETHEREUM_KEY, KEY, PASSWORD)
    with pytest.raises(KeystoreError, check=of_kind(KeystoreErrorKind.WRONG_PASSWORD)):
        keystore.load("bank", Kind.ETHEREUM_KEY, OTHER_PASSWORD)
    assert keystore.load("bank", Kind.ETHEREUM_KEY, PASSWORD) == KEY
    # A chain that other tests share is mined in a thread of its own.
    assert [record for record in caplog.records if record.thread == threading.get_ident()] == []


def test_ethereum_key_opens_in_other_wallets(keystore: Keystore) -> None:
    keystore.store("bank", Kind.ETHEREUM_KEY, KEY, PASSWORD)
    content = json.loads((keystore.directory / "bank.json").read_text())
    assert bytes(Account.decrypt(content, PASSWORD_TEXT)) == KEY
    assert content["address"] == ADDRESS.hex()


def test_key_file_of_another_wallet_opens_here(keystore: Keystore) -> None:
    content = Account.encrypt(KEY, PASSWORD_TEXT, kdf="scrypt", iterations=4096)
    path = keystore.directory / "bank.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    assert keystore.entry("bank") == Entry("bank", Kind.ETHEREUM_KEY, ADDRESS)
    assert keystore.load("bank", Kind.ETHEREUM_KEY, PASSWORD) == KEY
    with pytest.raises(
        KeystoreError,
        match="wrong password for bank, or the file was dam",
        check=of_kind(KeystoreErrorKind.WRONG_PASSWORD),
    ):
        keystore.load("bank", Kind.ETHEREUM_KEY, OTHER_PASSWORD)


def test_wrong_password_is_told_from_a_damaged_file(keystore: Keystore) -> None:
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD)
    with pytest.raises(KeystoreError, check=of_kind(KeystoreErrorKind.WRONG_PASSWORD)) as refusal:
        keystore.load("seeds", Kind.SEEDS, OTHER_PASSWORD)
    assert str(refusal.value) == "wrong password for seeds"
    edit(keystore, "seeds", lambda file: file["crypto"].update(ciphertext="00" * 99))
    with pytest.raises(KeystoreError, match="was damaged: its checksum is wrong"):
        keystore.load("seeds", Kind.SEEDS, PASSWORD)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.update(version=4),
        lambda file: file.pop("crypto"),
        lambda file: file["crypto"].update(kdf="pbkdf2"),
        lambda file: file["crypto"].update(mac="00" * 32),
        lambda file: file["crypto"]["kdfparams"].update(n=2**30),
        lambda file: file["quancheng"].update(kind="coffee"),
        lambda file: file["quancheng"].update(checksum="0x00"),
        lambda file: file["quancheng"].update(public="zz"),
    ],
)
def test_damaged_file_is_refused(
    keystore: Keystore, change: Callable[[dict[str, Any]], object]
) -> None:
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD)
    edit(keystore, "seeds", change)
    with pytest.raises(KeystoreError):
        keystore.load("seeds", Kind.SEEDS, PASSWORD)
    with pytest.raises(KeystoreError):
        keystore.entries()


@pytest.mark.parametrize(
    ("member", "value"),
    [("n", 2**30), ("n", 3), ("n", 0), ("r", 2**40), ("p", 2**20), ("dklen", 64), ("salt", "xy")],
)
def test_foreign_file_that_asks_for_nonsense_is_refused(
    keystore: Keystore, member: str, value: object
) -> None:
    keystore.store("bank", Kind.ETHEREUM_KEY, KEY, PASSWORD)
    edit(keystore, "bank", lambda file: file.pop("quancheng"))
    edit(keystore, "bank", lambda file: file["crypto"]["kdfparams"].update({member: value}))
    with pytest.raises(KeystoreError):
        keystore.load("bank", Kind.ETHEREUM_KEY, PASSWORD)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"null", b"\xff", b"no json", b'{"x":' + b"[" * 100_000]
)
def test_what_is_no_key_file_is_refused(keystore: Keystore, content: bytes) -> None:
    keystore.store("bank", Kind.ETHEREUM_KEY, KEY, PASSWORD)
    (keystore.directory / "bank.json").write_bytes(content)
    with pytest.raises(KeystoreError, match="is not a key file"):
        keystore.entry("bank")


def test_endless_file_is_refused(keystore: Keystore) -> None:
    keystore.store("bank", Kind.ETHEREUM_KEY, KEY, PASSWORD)
    os.truncate(keystore.directory / "bank.json", 2**22 + 1)
    with pytest.raises(KeystoreError, match="too long"):
        keystore.entry("bank")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, 900), byte=st.integers(0, 255))
def test_no_changed_byte_gives_another_secret(keystore: Keystore, at: int, byte: int) -> None:
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD, replace=True)
    path = keystore.directory / "seeds.json"
    content = bytearray(path.read_bytes())
    content[at % len(content)] = byte
    path.write_bytes(content)
    with suppress(KeystoreError):
        assert keystore.load("seeds", Kind.SEEDS, PASSWORD) == SEEDS


def test_file_passed_off_as_another_entry_is_refused(keystore: Keystore) -> None:
    keystore.store("mine", Kind.SEEDS, SEEDS, PASSWORD)
    (keystore.directory / "mine.json").rename(keystore.directory / "yours.json")
    with pytest.raises(KeystoreError, match="stored as another entry"):
        keystore.load("yours", Kind.SEEDS, PASSWORD)


def test_changed_kind_public_part_or_address_is_found(keystore: Keystore) -> None:
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD, public=b"1")
    edit(keystore, "seeds", lambda file: file["quancheng"].update(public="0x32"))
    with pytest.raises(KeystoreError, match="stored as another entry"):
        keystore.load("seeds", Kind.SEEDS, PASSWORD)
    edit(keystore, "seeds", lambda file: file["quancheng"].update(public="0x31", kind="other"))
    with pytest.raises(KeystoreError, match="stored as another entry"):
        keystore.load("seeds", Kind.OTHER, PASSWORD)
    keystore.store("bank", Kind.ETHEREUM_KEY, KEY, PASSWORD)
    edit(keystore, "bank", lambda file: file["quancheng"].update(public="0x" + "11" * 20))
    with pytest.raises(KeystoreError, match="stored as another entry"):
        keystore.load("bank", Kind.ETHEREUM_KEY, PASSWORD)


def test_secret_that_claims_to_be_an_ethereum_key_is_found(keystore: Keystore) -> None:
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD)
    edit(keystore, "seeds", lambda file: file["quancheng"].update(kind="ethereum-key"))
    with pytest.raises(KeystoreError, match="not an Ethereum key"):
        keystore.load("seeds", Kind.ETHEREUM_KEY, PASSWORD)


def test_other_kind_than_asked_for_is_refused(keystore: Keystore) -> None:
    keystore.store("bank", Kind.ETHEREUM_KEY, KEY, PASSWORD)
    with pytest.raises(KeystoreError, match="bank holds ethereum-key, not seeds"):
        keystore.load("bank", Kind.SEEDS, PASSWORD)


def test_entry_is_replaced_only_when_said_so(keystore: Keystore) -> None:
    keystore.store("seeds", Kind.SEEDS, b"old", PASSWORD)
    with pytest.raises(KeystoreError):
        keystore.store("seeds", Kind.SEEDS, b"new", PASSWORD)
    assert keystore.load("seeds", Kind.SEEDS, PASSWORD) == b"old"
    keystore.store("seeds", Kind.SEEDS, b"new", OTHER_PASSWORD, replace=True)
    assert keystore.load("seeds", Kind.SEEDS, OTHER_PASSWORD) == b"new"


def test_entry_that_appears_meanwhile_is_not_overwritten(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    keystore.store("seeds", Kind.SEEDS, b"theirs", PASSWORD)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    with pytest.raises(KeystoreError):
        keystore.store("seeds", Kind.SEEDS, b"ours", PASSWORD)
    assert keystore.load("seeds", Kind.SEEDS, PASSWORD) == b"theirs"
    assert [path.name for path in keystore.directory.iterdir()] == ["seeds.json"]


def test_removed_entry_is_gone(keystore: Keystore) -> None:
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD)
    keystore.remove("seeds")
    for act in (keystore.remove, keystore.entry):
        with pytest.raises(KeystoreError):
            act("seeds")


@pytest.mark.parametrize("name", ["", "A", "../up", "a/b", ".hidden", "ü", "x" * 64, "a\n"])
def test_name_that_is_no_file_name_is_refused(keystore: Keystore, name: str) -> None:
    with pytest.raises(KeystoreError, check=of_kind(KeystoreErrorKind.INVALID_ENTRY)):
        keystore.store(name, Kind.OTHER, b"", PASSWORD)
    with pytest.raises(KeystoreError, check=of_kind(KeystoreErrorKind.INVALID_ENTRY)):
        keystore.load(name, Kind.OTHER, PASSWORD)


def test_only_a_private_key_is_stored_as_one(keystore: Keystore) -> None:
    for secret in (b"", bytes(32), KEY + b"\0"):
        with pytest.raises(
            KeystoreError,
            match="not an Ethereum key",
            check=of_kind(KeystoreErrorKind.INVALID_ENTRY),
        ):
            keystore.store("bank", Kind.ETHEREUM_KEY, secret, PASSWORD)
    assert keystore.entries() == ()


@pytest.mark.parametrize("scrypt_n", [0, 2**11, 2**21, 5000])
def test_cost_below_the_documented_least_is_refused(tmp_path: Path, scrypt_n: int) -> None:
    with pytest.raises(
        KeystoreError, match="power of two from", check=of_kind(KeystoreErrorKind.INVALID_ENTRY)
    ):
        Keystore(tmp_path, scrypt_n=scrypt_n)


# The disk


def test_files_are_for_their_owner_alone(keystore: Keystore) -> None:
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD)
    assert stat.S_IMODE(keystore.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((keystore.directory / "seeds.json").stat().st_mode) == 0o600


def test_keystore_or_file_open_to_others_is_refused(keystore: Keystore) -> None:
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD)
    (keystore.directory / "seeds.json").chmod(0o640)
    with pytest.raises(KeystoreError, match="chmod 600"):
        keystore.load("seeds", Kind.SEEDS, PASSWORD)
    keystore.directory.chmod(0o755)
    with pytest.raises(KeystoreError, match="chmod 700"):
        Keystore(keystore.directory)


def test_link_to_elsewhere_is_not_followed(keystore: Keystore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    (keystore.directory / "seeds.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeystoreError):
        keystore.load("seeds", Kind.SEEDS, PASSWORD)


def test_keystore_that_is_a_file_or_is_gone_is_named(keystore: Keystore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeystoreError, match="file"):
        Keystore(tmp_path / "file")
    keystore.directory.rmdir()
    with pytest.raises(KeystoreError, match="No such file"):
        keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD)


@not_as_root
def test_keystore_that_cannot_be_written_is_named(keystore: Keystore) -> None:
    keystore.directory.chmod(0o500)
    with pytest.raises(KeystoreError, match="Permission denied"):
        keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD)


@pytest.mark.parametrize("failing", ["fsync", "write", "replace"])
def test_entry_stays_whole_when_the_disk_fails(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    keystore.store("seeds", Kind.SEEDS, b"old", PASSWORD)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        match failing:
            case "fsync":
                patch.setattr(os, "fsync", fail)
            case "replace":
                patch.setattr(Path, "replace", fail)
            case _:
                patch.setattr(os, "fdopen", fail)
        with pytest.raises(KeystoreError, match="No space left"):
            keystore.store("seeds", Kind.SEEDS, b"new", PASSWORD, replace=True)
    assert keystore.load("seeds", Kind.SEEDS, PASSWORD) == b"old"
    assert [path.name for path in keystore.directory.iterdir()] == ["seeds.json"]


def test_entry_is_synced_before_it_gets_its_name(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    sync = os.fsync

    def watch(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((kind, (keystore.directory / "seeds.json").is_file()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    keystore.store("seeds", Kind.SEEDS, SEEDS, PASSWORD)
    assert synced == [("file", False), ("directory", True)]


# Passkeys


DIGEST = keccak256(b"a signed record")
VERIFIER = b"\x77" * 20


def test_software_passkey_signs_as_a_phone_does() -> None:
    passkey = SoftwarePasskey.generate("wallet.example")
    signature = passkey.sign(DIGEST)
    signer = passkey.signer(VERIFIER)
    assert verify_signer(signer, DIGEST, signature, {VERIFIER}) == VERIFIER + passkey.public_key
    client_data = json.loads(decode_assertion(signature).client_data)
    assert client_data["type"] == "webauthn.get"
    assert client_data["origin"] == "https://wallet.example"
    assert client_data["crossOrigin"] is False


def test_another_passkey_is_another_signer() -> None:
    passkey, other = (SoftwarePasskey.generate("wallet.example") for _ in range(2))
    with pytest.raises(SigningError, match="another passkey"):
        verify_assertion(other.sign(DIGEST), DIGEST, passkey.public_key)


def test_passkey_signature_is_always_of_the_lower_half() -> None:
    passkey = SoftwarePasskey(b"\x01" * 32, "wallet.example")
    for number in range(20):
        digest = keccak256(bytes([number]))
        verify_assertion(passkey.sign(digest), digest, passkey.public_key)
        assert passkey.sign(digest) == passkey.sign(digest)


def test_passkey_is_kept_in_the_keystore(keystore: Keystore) -> None:
    passkey = SoftwarePasskey.generate("wallet.example")
    entry = keystore.store_passkey("phone", passkey, PASSWORD)
    assert entry == Entry("phone", Kind.PASSKEY, passkey.public_key)
    assert keystore.load_passkey("phone", PASSWORD) == passkey
    with pytest.raises(KeystoreError, check=of_kind(KeystoreErrorKind.WRONG_PASSWORD)):
        keystore.load_passkey("phone", OTHER_PASSWORD)


def test_passkey_does_not_show_its_key() -> None:
    assert "private_key" not in repr(SoftwarePasskey(KEY, "wallet.example"))
    assert KEY.hex() not in repr(SoftwarePasskey(KEY, "wallet.example"))


@pytest.mark.parametrize(
    ("private_key", "relying_party"),
    [
        (bytes(32), "wallet.example"),
        (b"\xff" * 32, "wallet.example"),
        (KEY[:31], "wallet.example"),
        (KEY, ""),
        (KEY, 'wallet.example","type":"webauthn.get'),
        (KEY, "Wallet.example"),
    ],
)
def test_what_is_no_passkey_is_refused(private_key: bytes, relying_party: str) -> None:
    with pytest.raises(KeystoreError, check=of_kind(KeystoreErrorKind.INVALID_ENTRY)):
        SoftwarePasskey(private_key, relying_party)


def test_stored_passkey_of_another_form_is_refused() -> None:
    with pytest.raises(KeystoreError, check=of_kind(KeystoreErrorKind.INVALID_ENTRY)):
        SoftwarePasskey.from_secret(KEY + "泉城".encode())
    with pytest.raises(
        KeystoreError, match="not an address", check=of_kind(KeystoreErrorKind.INVALID_ENTRY)
    ):
        SoftwarePasskey(KEY, "wallet.example").signer(b"")


# Passwords


def test_password_does_not_show() -> None:
    assert "口令" not in repr(PASSWORD)
    assert "口令" not in f"{PASSWORD} {[PASSWORD]}"


def test_password_comes_from_a_descriptor() -> None:
    for written in ("口令 with blanks", "口令 with blanks\n", "口令 with blanks\r\n"):
        reading, writing = os.pipe()
        os.write(writing, written.encode())
        os.close(writing)
        assert read_password(parse_source(f"fd:{reading}")) == PASSWORD


def test_password_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANCHENG_PASSWORD", "口令 with blanks")
    assert read_password(parse_source("env:QUANCHENG_PASSWORD")) == PASSWORD
    monkeypatch.delenv("QUANCHENG_PASSWORD")
    with pytest.raises(
        KeystoreError, match="has no QUANCHENG_PASSWORD", check=of_kind(KeystoreErrorKind.PASSWORD)
    ):
        read_password(Environment("QUANCHENG_PASSWORD"))


def test_password_comes_from_a_person() -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "口令 with blanks"

    assert (
        read_password(parse_source("prompt"), question="Bank: ", repeat=True, ask=ask) == PASSWORD
    )
    assert asked == ["Bank: ", "Again: "]


def test_new_password_is_typed_twice_alike() -> None:
    answers = iter(["one", "two"])
    with pytest.raises(KeystoreError, match="differ", check=of_kind(KeystoreErrorKind.PASSWORD)):
        read_password(Prompt(), repeat=True, ask=lambda _: next(answers))


def test_password_is_never_read_where_it_would_show() -> None:
    def echoing(_: str) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=1)
        return "seen by everybody"

    with pytest.raises(
        KeystoreError, match="no terminal", check=of_kind(KeystoreErrorKind.PASSWORD)
    ):
        read_password(Prompt(), ask=echoing)


@pytest.mark.parametrize("text", ["", "secret", "fd:", "fd:0", "fd:x", "env:", "env:A B", "file:x"])
def test_unknown_source_is_refused(text: str) -> None:
    with pytest.raises(
        KeystoreError, match="comes from prompt", check=of_kind(KeystoreErrorKind.PASSWORD)
    ):
        parse_source(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"\n", "empty"), (b"\xff", "no UTF-8"), (b"x" * 4097, "more than a pass")],
)
def test_descriptor_without_a_password_is_refused(content: bytes, message: str) -> None:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    with pytest.raises(KeystoreError, match=message, check=of_kind(KeystoreErrorKind.PASSWORD)):
        read_password(Descriptor(reading))


def test_closed_descriptor_is_named() -> None:
    with pytest.raises(
        KeystoreError,
        match="file descriptor 999 cannot be read",
        check=of_kind(KeystoreErrorKind.PASSWORD),
    ):
        read_password(Descriptor(999))


def test_half_a_surrogate_pair_is_no_password() -> None:
    with pytest.raises(
        KeystoreError, match="not Unicode", check=of_kind(KeystoreErrorKind.PASSWORD)
    ):
        Password("\ud800")
