"""The primitives alone: what it costs to encrypt and commit to a record, without file, network or store.

One process encrypts records of 12 fields from 3 seeds in memory. What all cores could do together is
that, times the cores: no system can publish faster with the same cryptography.
"""

import secrets
import time
from typing import Final

from ledger.custody import (
    DatasetKeys,
    Sharing,
    assemble_seeds,
    combine_subkeys,
    derive_subkeys,
    draw_seeds,
)
from ledger.encoding import Schema
from ledger.records import encrypt_record
from scripts.bench.bare_chain import FIELDS

_SHARING: Final = Sharing(2, 3)
_EPOCH: Final = 1


def records_per_second(seconds: float) -> float:
    """Encrypt for some seconds; return how many records one core encrypts in one."""
    dataset = secrets.token_bytes(32)
    schema, keys = Schema(dataset, FIELDS), _keys(dataset)
    values = [f"value {place} of some length" for place in range(len(FIELDS))]
    count, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        encrypt_record(schema, keys, owner=dataset, number=count, values=values)
        count += 1
    return count / (time.perf_counter() - began)


def _keys(dataset: bytes) -> DatasetKeys:
    holders = range(1, _SHARING.holders + 1)
    drawn = [seed for holder in holders for seed in draw_seeds(_SHARING, holder, _EPOCH)]
    subkeys = [
        derive_subkeys(
            assemble_seeds(
                _SHARING, holder, _EPOCH, [one for one in drawn if holder in one.subset]
            ),
            dataset,
        )
        for holder in holders
    ]
    return combine_subkeys(_SHARING, subkeys)
