"""Every setting is documented and checked; whatever keeps the gateway from starting is one clear line."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gateway.errors import SettingsError
from gateway.settings import AccessSettings, Settings
from gateway.store.database import Database, migrate
from ledger.chain.deployment import write_deployment
from ledger.index.index import Index, Origin
from ledger.journal import Journal
from scripts.scenario import Chain
from tests.support import forking
from wallet.keystore import Keystore, Kind
from wallet.passwords import Password

pytestmark = pytest.mark.slow

PREFIX = "QUANCHENG_GATEWAY_"
SECRET = "a password that nobody may see"

WRONG = {
    "PORT": ("-1", "65536", "x", "1.5"),
    "AUTHORITIES": ("x", "{}", '["Upper.example"]', '["a/b"]'),
    "SCHEME": ("ftp", "HTTP"),
    "DATABASE_TIMEOUT": ("0", "-1", "soon", "nan"),
    "DATABASE_POOL": ("0", "x"),
    "NODE_URL": ("x", "file:///etc/passwd", "ws://127.0.0.1:1"),
    "NODE_TIMEOUT": ("0",),
    "FINALITY": ("depth", "depth:-1", "depth:x", "latest", "safe"),
    "POLL_INTERVAL": ("0",),
    "BODY_LIMIT": ("0", "1e6"),
    "LINES_LIMIT": ("0",),
    "LINE_LIMIT": ("-5",),
    "BODY_TIMEOUT": ("0",),
    "HEAD_TIMEOUT": ("0",),
    "ANSWER_TIMEOUT": ("0",),
    "HEAD_LIMIT": ("0", "8191"),
    "CONNECTIONS": ("0",),
    "SIGNATURE_LIFETIME": ("0", "301"),
    "CLOCK_SKEW": ("-1", "301"),
    "REQUESTS_RATE": ("0", "-1"),
    "REQUESTS_BURST": ("0",),
    "SIGN_IN_RATE": ("0",),
    "SIGN_IN_BURST": ("0",),
    "SESSION_LIFETIME": ("0", "86401"),
    "CHUNK_RECORDS": ("0",),
    "CHUNK_BYTES": ("0",),
    "UPLOAD_LIFETIME": ("0",),
    "TILE_MEMORY": ("0",),
    "LOG_LEVEL": ("loud", "INFO"),
    "SHUTDOWN_GRACE": ("0",),
    "HOUSEKEEPING_INTERVAL": ("0",),
    "SWITCH_INTERVAL": ("0",),
    "MAX_PENDING_ACCESSES": ("0",),
    "MAX_PENDING_ACCESSES_PER_CONSUMER": ("0",),
    "ACCESSES_RATE": ("0",),
    "ACCESSES_BURST": ("999",),
    "ACCESS_TIMEOUT": ("0",),
    "EMBEDDED_CHAIN": ("perhaps",),
    "TRANSACTIONS_RATE": ("0",),
    "TRANSACTIONS_BURST": ("0",),
    "ACCESSES_LIMIT": ("0",),
    "KEYHOLDERS": (
        "x",
        '["http://127.0.0.1"]',
        '{"0x01":"http://127.0.0.1"}',
        f'{{"0x{"11" * 20}":"ftp://a"}}',
    ),
    "KEYHOLDER_TIMEOUT": ("0",),
    "KEYHOLDER_HEDGE": ("0",),
    "SUPERVISION": ("x",),
    "SUPERVISION_BOUNDS": ("x", '{"speed":1}', '{"rate":"much"}'),
    "SUSPENDING_RULES": ("x", '["stale"]', '["after-revocation"]'),
    "FEE": ("", "much", "-1", "1:2"),
    "LINK_RENEWAL_INTERVAL": ("0",),
    "PUBLICATION_LAG": ("-1", "a day"),
    "IDENTITY": ("x", "ftp://127.0.0.1"),
    "APPEAL": ("", "x" * 201),
    "FAILPOINT": ("nowhere",),
}
FREE = {
    *("HOST", "DATABASE_URL", "DEPLOYMENT", "RECORDER_KEY", "RECORDER_PASSWORD", "JOURNAL"),
    *("SUPERVISOR_KEY", "SUPERVISOR_PASSWORD"),
}
"""Any text is of the right form; whether it can be used shows at start."""


def read() -> tuple[Settings, AccessSettings]:
    return Settings.read(), AccessSettings.read()


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_every_setting_is_documented_and_has_a_default() -> None:
    for kind in (Settings, AccessSettings):
        for name, field in kind.model_fields.items():
            assert not field.is_required(), name
            assert field.description, name
            assert field.description.rstrip().endswith((".", ")")), name
    read()


def test_every_setting_is_in_the_table_below() -> None:
    names = {name.upper() for kind in (Settings, AccessSettings) for name in kind.model_fields}
    assert names == WRONG.keys() | FREE


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_one_line_that_names_the_setting_and_not_the_value(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in WRONG[name]:
        monkeypatch.setenv(PREFIX + name, value)
        with pytest.raises(SettingsError) as caught:
            read()
        told = str(caught.value)
        assert told.startswith(PREFIX + name), (value, told)
        assert "\n" not in told
        assert len(value) < 6 or value not in told


# Starting


@pytest.fixture
def home(chain: Chain, tmp_path: Path) -> Path:
    write_deployment(chain.deployment, tmp_path / "deployment.json")
    keystore = Keystore(tmp_path / "keys", scrypt_n=4096)
    key = chain.parties.recorder.private_key
    keystore.store("recorder", Kind.ETHEREUM_KEY, key, Password(SECRET))
    return tmp_path


def start(chain: Chain, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a gateway that is expected not to start."""
    values = {
        "port": "0",
        "database_url": f"sqlite:///{home}/gateway.db",
        "deployment": str(home / "deployment.json"),
        "node_url": chain.node.url,
        "journal": str(home / "journal"),
        "recorder_key": str(home / "keys" / "recorder.json"),
        "recorder_password": "env:TEST_PASSWORD",
        **settings,
    }
    environment = {PREFIX + name.upper(): value for name, value in values.items()}
    environment = {**os.environ, "TEST_PASSWORD": SECRET, **environment}
    out, errors = home / "out", home / "errors"
    ended = forking.start(("gateway",), environment, out=out, errors=errors)
    return subprocess.CompletedProcess(
        "gateway", ended.wait(60), out.read_text("utf-8"), errors.read_text("utf-8")
    )


def _change_key(change: Callable[[bytes], bytes]) -> Callable[[Path], dict[str, str]]:
    def spoil(home: Path) -> dict[str, str]:
        path = home / "keys" / "recorder.json"
        path.write_bytes(change(path.read_bytes()))
        return {}

    return spoil


def _flip_ciphertext(content: bytes) -> bytes:
    document = json.loads(content)
    text = document["crypto"]["ciphertext"]
    document["crypto"]["ciphertext"] = ("1" if text[0] == "0" else "0") + text[1:]
    return json.dumps(document).encode()


def _wrong_password(_: Path) -> dict[str, str]:
    return {"recorder_password": "env:PATH"}


def _spoiled_deployment(home: Path) -> dict[str, str]:
    (home / "deployment.json").write_text('{"chain_id": 1}')
    return {}


def _not_a_database(home: Path) -> dict[str, str]:
    (home / "gateway.db").write_bytes(b"not a database at all" * 100)
    return {}


NO_START: dict[str, tuple[Callable[[Path], dict[str, str]], str]] = {
    "wrong password": (_wrong_password, "wrong password, or the file was changed"),
    "no password": (lambda _: {"recorder_password": "env:NOTHING"}, "no NOTHING"),
    "password from nowhere": (lambda _: {"recorder_password": SECRET}, "fd:NUMBER or env:NAME"),
    "no key file": (lambda _: {"recorder_key": "/nowhere/key"}, "/nowhere/key cannot be read"),
    "a key file cut short": (_change_key(lambda content: content[:100]), "is not a key file"),
    "a key file of other JSON": (_change_key(lambda _: b"{}"), "is not a key file"),
    "a key file with PBKDF2": (
        _change_key(lambda content: content.replace(b'"scrypt"', b'"pbkdf2"')),
        "is not a key file with scrypt",
    ),
    "a key file with a changed byte": (_change_key(_flip_ciphertext), "the file was changed"),
    "no deployment": (lambda _: {"deployment": "/nowhere/file"}, "/nowhere/file"),
    "a spoiled deployment": (_spoiled_deployment, "deployment"),
    "another kind of database": (
        lambda _: {"database_url": f"mysql://user:{SECRET}@host/name"},
        "sqlite",
    ),
    "no database": (_not_a_database, "damaged"),
}


@pytest.mark.parametrize("name", NO_START)
def test_what_keeps_it_from_starting_is_the_last_line(chain: Chain, home: Path, name: str) -> None:
    spoil, told = NO_START[name]
    ended = start(chain, home, **spoil(home))
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert told in last, ended.stderr
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr


def test_a_port_in_use_is_one_line(chain: Chain, home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = start(chain, home, port=str(port))
    assert ended.returncode == 1
    assert ended.stderr == f"127.0.0.1:{port} cannot be listened on: Address already in use\n"


def test_a_journal_in_use_is_one_line(chain: Chain, home: Path) -> None:
    journal = Journal.open(home / "journal")
    try:
        ended = start(chain, home)
    finally:
        journal.close()
    assert ended.returncode == 1
    assert "another process" in ended.stderr.splitlines()[-1], ended.stderr


def test_an_index_of_another_deployment_is_one_line(chain: Chain, home: Path) -> None:
    async def make() -> None:
        database = Database(f"sqlite:///{home}/gateway.db")
        await migrate(database)
        await Index(database, Origin(b"g" * 32, b"l" * 20, 0)).open()
        await database.close()

    asyncio.run(make())
    ended = start(chain, home)
    assert ended.returncode == 1
    assert "another chain or deployment" in ended.stderr.splitlines()[-1]
    assert msgspec.json.decode(ended.stderr.splitlines()[0])["event"] == "listening"
