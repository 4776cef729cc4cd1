"""No decoder builds what it does not know the form of, unless somebody has looked how deep it is nested.

Libraries raise the recursion limit to 100,000 (`ledger.jsonio`); 60,000 brackets then overflow the C stack of a
decoder that builds any value. One that skips a member, or takes it as it stands (`msgspec.Raw`), gets by.
"""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("ledger", "gateway", "wallet")
CHECKS: Final = frozenset(("check_depth", "parse_json", "parse"))
OWN: Final = {
    "ledger/plain_text.py": "a file of the package",
    "ledger/chain/web3_access.py": "a file of the package",
    "ledger/index/snapshot.py": "lists that the index wrote",
    "gateway/api/presenters.py": "events as the index wrote them",
    "ledger/index/queries.py": "events as the index wrote them",
    "gateway/api/inbox.py": "what was encoded in the same line",
    "wallet/provider/source.py": "brackets are counted before",
    "wallet/provider/description.py": "the provider's own file",
    "ledger/jsonio.py": "it is the check",
}
GENERIC: Final = {
    "ledger/crypto/secret_sharing.py": "messages that are sealed, each of a named form",
    "wallet/client/calls.py": "`reader`: its callers are asked below",
}


def builds_anything(kind: Any) -> bool:
    """Whether a type has a part of which nothing is said, or a form that holds itself."""
    seen: set[int] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(kind)]
    while waiting:
        part = waiting.pop()
        if isinstance(part, msgspec.inspect.AnyType):
            return True
        if isinstance(part, msgspec.inspect.StructType):
            if id(part.cls) in seen:
                continue
            seen.add(id(part.cls))
            waiting += [field.type for field in part.fields]
        for name in ("item_type", "key_type", "value_type", "type"):
            inner = getattr(part, name, None)
            if isinstance(inner, msgspec.inspect.Type):
                waiting.append(inner)
        for name in ("types", "item_types"):
            waiting += getattr(part, name, ())
    return False


def called(node: ast.AST) -> str:
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def kind_of(call: ast.Call) -> ast.expr | None:
    """Return the type that a decoder is given; None where it is given none, and builds anything."""
    if called(call).endswith(".Decoder") or called(call) == "reader":
        return call.args[0] if call.args else None
    return next((each.value for each in call.keywords if each.arg == "type"), None)


def decoders() -> Iterator[tuple[str, ast.Module, ast.Call]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and (
                    called(node).startswith(("msgspec.json.de", "msgspec.json.De", "json.load"))
                    or called(node).startswith(
                        ("msgspec.msgpack.de", "msgspec.msgpack.De", "msgspec.yaml.de")
                    )
                    or called(node) == "reader"
                ):
                    yield str(path.relative_to(ROOT)), tree, node


def is_open(path: str, call: ast.Call) -> bool:
    """Whether a decoder builds what it does not know the form of."""
    kind = kind_of(call)
    if kind is None:
        return True
    if path in GENERIC and isinstance(kind, ast.Name) and kind.id == "kind":
        return False
    module = importlib.import_module(
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    )
    return builds_anything(eval(ast.unparse(kind), {**vars(module)}))


def is_checked(tree: ast.Module, call: ast.Call) -> bool:
    """Whether each function that uses a decoder asks first how deep its input is nested."""
    users = [
        function
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and call in ast.walk(function)
    ]
    if not users:
        (name,) = (
            ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and call in ast.walk(node)
        )
        users = [
            function
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            and any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(function))
        ]
    return all(any(called(node) in CHECKS for node in ast.walk(user)) for user in users)


def test_whatever_builds_any_value_is_checked_first() -> None:
    found = list(decoders())
    assert len(found) > 100
    unchecked = [
        f"{path}:{call.lineno}: {ast.unparse(call)}"
        for path, tree, call in found
        if path not in OWN and is_open(path, call) and not is_checked(tree, call)
    ]
    assert not unchecked, "\n".join(unchecked)


def test_the_exceptions_are_still_there() -> None:
    assert set(OWN) - {path for path, _, call in decoders() if is_open(path, call)} == set()


PROGRAM: Final = """
import sys
from ledger.jsonio import UNREADABLE
from ledger.errors import LedgerError
sys.setrecursionlimit(100_000)
DEEP = b"[" * 60_000 + b"]" * 60_000
{program}
print("alive")
"""

READERS: Final = {
    "problem": """
from wallet.client.calls import Answer, problem_in
error = problem_in(Answer(409, {}, b'{"title":"t","a":1,"other":' + DEEP + b"}"))
assert error.problem.title == "t" and error.members == (("a", 1),), error.members
""",
    "node": """
import msgspec
from ledger.chain.rpc import Call, CallError, _results
call = Call("eth_call", (), bytes)
body = b'[{"id":0,"error":{"code":3,"message":"reverted","data":' + DEEP + b"}}]"
(error,) = _results([call], body)
assert isinstance(error, CallError) and error.data is None
""",
    "journal": """
import pathlib, tempfile
from wallet.regulator.journals import GatewayJournal
file = pathlib.Path(tempfile.mkdtemp()) / "j"
file.write_bytes(b'{"access":"","sequence":1,"request":{"a":' + DEEP + b'},"signature":"","transaction":""}\\n')
(fault,) = GatewayJournal(file).entries()
assert "no entry" in str(fault)
""",
    "block": """
import msgspec
from ledger.evidence.headers import block, transaction_input
for call, body in ((block(1), b'{"hash":"0x","withdrawals":'), (transaction_input(b""), b'{"other":')):
    try:
        call.read(msgspec.Raw(body + DEEP + b"}"))
    except (*UNREADABLE, ValueError, KeyError):
        pass
""",
    "state": """
from ledger.chain.embedded import _consistent_block_number
assert _consistent_block_number(b'{"best_block_number":' + DEEP + b"}") is None
""",
}


@pytest.mark.parametrize("name", READERS)
def test_deep_input_does_not_kill_the_process(name: str) -> None:
    program = PROGRAM.format(program=READERS[name])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
