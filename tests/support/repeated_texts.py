"""Call data in which each place of an array points to the same long text."""

from ledger.artifacts import load_artifact
from ledger.chain.contract_calls import ContractCall

DATASET = "(string,string,string[],uint8,uint8,uint8,bool,uint32)"
WORD = 32


def word(number: int) -> bytes:
    return number.to_bytes(WORD, "big")


def array(length: int) -> bytes:
    """Return the content of a `string[]`: half of it places, all of which are that of one text."""
    count = max(length // 2 // WORD, 1)
    text = b"x" * (length // 2 // WORD * WORD)
    return word(count) + word(count * WORD) * count + word(len(text)) + text


def pointed_to_often(length: int) -> bytes:
    return word(WORD) + array(length - 4 * WORD)


def registration(length: int) -> ContractCall:
    """Return a call of `registerDataset` of at most a length."""
    heads = 8 * WORD
    members = word(heads) + word(heads + 2 * WORD) + word(heads + 4 * WORD) + word(0) * 5
    texts = 2 * (word(1) + b"x".ljust(WORD, b"\0"))
    (function,) = (
        each
        for each in load_artifact("Catalogue").items("function")
        if each.name == "registerDataset"
    )
    content = array(max(length - len(members) - len(texts) - 4 * WORD, 0))
    return ContractCall("Catalogue", function.hash[:4] + word(WORD) + members + texts + content)
