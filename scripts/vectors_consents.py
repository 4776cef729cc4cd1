"""Write the vectors of consents: docs/spec/vectors/consents.json.

    python -m scripts.vectors_consents

The authorization of the typed data's vectors with the names that the chain has at its grant, and changes to
either that whoever checks a statement must refuse.
"""

from typing import Any, Final

import msgspec

from ledger import typed_data
from ledger.consents import Names, case_number_in
from ledger.hexes import to_hex
from scripts.vectors_files import text_of, write
from scripts.vectors_typed import TEMPLATES, TERMS, example_records, named


def main() -> None:
    """Write the vectors."""
    write(build())


def build() -> dict[str, str]:
    """Return the text of the file, by its name."""
    return {"consents.json": text_of(consent_vectors())}


NAMES: Final = Names(
    consumer=TERMS.consumer,
    dataset=TERMS.dataset,
    fields=(TERMS.fields[0], "用途 / use", *TERMS.fields[1:]),
    texts=(("zh", TEMPLATES.zh), ("en", TEMPLATES.en)),
    retention=TERMS.retention,
)
"""As the chain has them at the grant of the example's authorization."""


def consent_vectors() -> dict[str, Any]:
    """A signed record that says what it authorizes, and changes to it or to the names that are refused."""
    (record,) = (one for one in example_records() if isinstance(one, typed_data.Authorization))
    refused: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        ("the words say fewer uses", {"max_uses": 1000}, {}),
        ("the words say fewer fields", {"fields": 0b1111}, {}),
        ("other fields", {"fields": 0b1011}, {}),
        ("a field that has no name", {"fields": 0b11101}, {}),
        ("a beginning that is not told", {"not_before": 1_796_054_400}, {}),
        ("another end", {"expires_at": record.expires_at + 1}, {}),
        ("one record only", {"item": named("record root")}, {}),
        ("a word more", {"statement": record.statement + " "}, {}),
        (
            "another case number in English",
            {"statement": record.statement.replace("“2026-118”", "“2026-119”")},
            {},
        ),
        ("the consumer had another name at the grant", {}, {"consumer": "泉城银行 / Other Bank"}),
        ("the purpose says another retention", {}, {"retention": 86_400}),
    )
    return {
        "names": msgspec.to_builtins(NAMES),
        "record": typed_data.record_to_object(record),
        "authorization": to_hex(typed_data.struct_hash(record)),
        "case_number": case_number_in(record.statement, record, NAMES),
        "refused": [
            {"why": why, "record": _changed_members(record, members), "names": names}
            for why, members, names in refused
        ],
    }


def _changed_members(record: typed_data.Authorization, members: dict[str, Any]) -> dict[str, Any]:
    changed = typed_data.record_to_object(msgspec.structs.replace(record, **members))
    before = typed_data.record_to_object(record)
    return {name: value for name, value in changed.items() if value != before[name]}


if __name__ == "__main__":
    main()
