"""The primitives alone: what it costs to encrypt and commit to a record, without file, network or store.

One process encrypts records of 12 fields from 3 seeds in memory. What all cores could do together is
that, times the cores: no system can publish faster with the same cryptography.
"""

import secrets
import time

from ledger.crypto.records import encrypt_record
from ledger.crypto.secret_sharing import combine_subkeys, derive_subkeys
from ledger.encoding import Schema
from scripts.scenario import FIELDS, SHARING, make_keyholders


def records_per_second(seconds: float) -> float:
    """Encrypt for some seconds; return how many records one core encrypts in one."""
    dataset = secrets.token_bytes(32)
    holders = make_keyholders(3, 2)
    subkeys = [derive_subkeys(holder.newest().complete(), dataset) for holder in holders]
    schema, keys = Schema(dataset, FIELDS), combine_subkeys(SHARING, subkeys)
    values = [f"value {place} of some length" for place in range(len(FIELDS))]
    count, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        encrypt_record(schema, keys, owner=dataset, number=count, values=values)
        count += 1
    return count / (time.perf_counter() - began)
