"""Gateway and regulator: the lines of a release journal, `GET /v1/journal`, as NDJSON.

    {"access":"0x..","sequence":7,"outcome":0,"request":{..},"signature":"0x..","transaction":"0x..",
     "released":{..}|null, ..., "authorization":{..}}

`authorization` is what the person signed, with the first line that rests on it. The last line says how far it
goes: {"kind":"end","recorder":"0x..","block":812,"block_hash":"0x.."}.
"""

from typing import Annotated

import msgspec

from ledger.typed_data import JsonScalar

Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 48)]


class ReleasedLine(msgspec.Struct):
    dataset: str
    publication: int
    records: tuple[int, ...]
    holders: list[str]
    key: str
    at: int


class JournalLine(msgspec.Struct):
    access: str
    sequence: int
    outcome: int
    request: dict[str, JsonScalar]
    signature: str
    block_number: int
    block_hash: str
    timestamp: int
    transaction: str
    log_index: int
    released: ReleasedLine | None
    authorization: dict[str, JsonScalar] | msgspec.UnsetType = msgspec.UNSET


class EndLine(msgspec.Struct, tag_field="kind", tag="end"):
    recorder: str
    block: Number
    block_hash: str
