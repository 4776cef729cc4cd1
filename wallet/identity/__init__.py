"""The identity authority: who a person or an enterprise is, and which random subject ids are theirs.

A process of its own with a database of its own. The link between real identity and subject ids is in
that database and nowhere else: never on chain, never at the gateway, never in a log.
"""
