"""The forms of members in messages, and what all bodies of requests share.

An answer is a frozen dataclass of texts and numbers: FastAPI documents it, `msgspec` writes and reads it.
A body is a `Body`, whose form is checked when it is made: bytes are bytes in it, 0x strings in lowercase in
JSON. Times are seconds since 1970, sets of fields decimal strings, EIP-712 records JSON objects as in
`ledger.typed_data`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Self, TypeVar

import msgspec
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    ValidationError,
)
from pydantic_core import CoreSchema, core_schema

from ledger.errors import MalformedError
from ledger.hexstr import from_hex, to_hex
from ledger.typed_data import SignedRecord, json_schema, record_from_object, record_to_object

Text32 = Annotated[
    str, Field(pattern="^0x[0-9a-f]{64}$"), msgspec.Meta(pattern=r"^0x[0-9a-f]{64}\Z")
]
"""32 bytes in an answer: one pattern for the document, one for who reads."""
Text20 = Annotated[
    str, Field(pattern="^0x[0-9a-f]{40}$"), msgspec.Meta(pattern=r"^0x[0-9a-f]{40}\Z")
]
"""An address in an answer."""
Bitmap = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,78}\Z")]
"""A number of 256 bits in decimal: anything else is no answer of the protocol."""
OptionalBitmap = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,78}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]

_PROBLEMS_SHOWN: Final = 5
AnswerT = TypeVar("AnswerT")
_RecordT = TypeVar("_RecordT", bound=SignedRecord)


def answer_of(kind: type[AnswerT], entry: msgspec.Struct, /, **more: object) -> AnswerT:
    """Return an answer with an entry's members of the same names, bytes as 0x strings, and others that are given."""
    members = {
        name: to_hex(value) if isinstance(value, bytes) else value
        for name, value in msgspec.structs.asdict(entry).items()
    }
    return msgspec.convert(members | more, kind)


def hexadecimal(pattern: str, max_length: int | None = None) -> GetPydanticSchema:
    """Bytes that are a 0x string in JSON."""
    text = core_schema.no_info_after_validator_function(
        from_hex, core_schema.str_schema(pattern=pattern, max_length=max_length)
    )
    schema = core_schema.json_or_python_schema(
        json_schema=text,
        python_schema=core_schema.union_schema([core_schema.bytes_schema(strict=True), text]),
        serialization=core_schema.plain_serializer_function_ser_schema(to_hex, when_used="json"),
    )
    return GetPydanticSchema(lambda _type, _handler: schema)


Hash = Annotated[bytes, hexadecimal("^0x[0-9a-f]{64}$")]
Address = Annotated[bytes, hexadecimal("^0x[0-9a-f]{40}$")]
Bytes = Annotated[bytes, hexadecimal("^0x([0-9a-f]{2})*$", 20_000)]


class Record:
    """An EIP-712 record of the annotated type; `record_from_object` says what is wrong with it."""

    def __init__(self, kind: type[SignedRecord]) -> None:
        self._kind = kind

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        value = core_schema.union_schema(
            [core_schema.str_schema(), core_schema.int_schema(), core_schema.bool_schema()]
        )
        members = core_schema.dict_schema(core_schema.str_schema(), value)
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(self._read, members),
            python_schema=core_schema.is_instance_schema(self._kind),
            serialization=core_schema.plain_serializer_function_ser_schema(
                record_to_object, when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, object]:
        return json_schema(self._kind)

    def _read(self, value: Mapping[str, object]) -> SignedRecord:
        return record_from_object(self._kind, value)


class Body(BaseModel):
    """A body: unknown members are refused, and so is a number in quotes or a truth for a number."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True
    )

    @classmethod
    def of(cls, members: Mapping[str, object]) -> Self:
        """Return a body of members that are values of Python. Raises as `parse`."""
        try:
            return cls.model_validate(members)
        except ValidationError as error:
            raise MalformedError(_problems(error)) from None

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the body that a JSON text is; that no member is given twice is for the caller to check.

        Raises:
            MalformedError: It has another form; the message shows no value, which may be personal.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise MalformedError(_problems(error)) from None

    def encode(self) -> bytes:
        """Return the body as JSON."""
        return self.model_dump_json(exclude_none=True).encode()


def _problems(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[:_PROBLEMS_SHOWN]
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in first)
