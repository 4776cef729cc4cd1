"""Links: which of them ties a dataset's owner to a subject now, and which does not any more.

A link is the identity authority's word. So that a wrong one can be corrected it lasts 30 days at
most, and the authority ends all of a subject's at once on chain (`endLinks`). Its times are the
authority's own to write, so block times bound them. Gateway, keyholders and replay judge alike.

Source: docs/spec/identity.md, "Links".
"""

from collections.abc import Collection
from typing import Final

import msgspec

from ledger.model import LinkFault, Roles, State, has_role
from ledger.typed_data import SubjectLink

MAX_LINK_LIFETIME: Final = 30 * 86_400
"""Seconds for which a link lasts at most."""

MAX_LINK_AHEAD: Final = 300
"""Seconds by which a link may be issued ahead of the block at which it is judged."""

LINK_RENEWAL: Final = 7 * 86_400
"""Seconds before its end from which on a link is renewed."""


class LinkBounds(msgspec.Struct, frozen=True):
    """What the chain says, at a block, of the links that count for a subject."""

    authorities: Collection[bytes]
    """Who may sign them: the identity authority that registered the subject, or its successor."""
    links_from: int
    """Links issued up to this second are ended; zero when none were."""


def link_bounds(state: State, subject: bytes) -> LinkBounds:
    """Return which links of a subject count, by the state of the chain at a block.

    An authority that was withdrawn signs nothing that counts; its successor must be named and
    active.
    """
    known = state.subjects.get(subject)
    if known is None:
        return LinkBounds((), links_from=0)
    may = (known.registrar, state.successors.get(known.registrar, known.registrar))
    active = [
        authority
        for authority in may
        if has_role(state.parties.get(authority), Roles.IDENTITY_AUTHORITY)
    ]
    return LinkBounds(active, known.links_from)


def find_link_fault(
    link: SubjectLink, signer: bytes, bounds: LinkBounds, at: int
) -> LinkFault | None:
    """Return why a link does not count at a block's time; None when it does.

    That it is of the subject and dataset in question was compared before.
    """
    if signer not in bounds.authorities:
        return LinkFault.FOREIGN
    if link.expires_at - link.issued_at > MAX_LINK_LIFETIME:
        return LinkFault.TOO_LONG
    if link.issued_at > at + MAX_LINK_AHEAD:
        return LinkFault.AHEAD
    if link.issued_at <= bounds.links_from:
        return LinkFault.ENDED
    if link.expires_at <= at:
        return LinkFault.OVER
    return None


def make_link(
    subject: bytes, dataset: bytes, owner: bytes, *, at: int, links_from: int
) -> SubjectLink:
    """Return a link that counts from the newest block's time on, for as long as a link may."""
    issued_at = max(at, links_from + 1)
    return SubjectLink(subject, dataset, owner, issued_at, issued_at + MAX_LINK_LIFETIME)
