"""The chain's events in tables, for questions that the chain itself does not answer.

`Index` is what everybody uses; `Follower` keeps it up to date from a node.
"""
