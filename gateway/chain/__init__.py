"""The gateway's view of the chain: the indexer, its own accounts, accounts that are contracts."""
