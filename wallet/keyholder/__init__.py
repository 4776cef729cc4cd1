"""The keyholder: holds shares of data keys, releases them only against an access on chain.

A process of its own, with its own keystore, its own node and its own release journal; it meets the
gateway only over HTTP and believes nothing that the gateway says.
"""
