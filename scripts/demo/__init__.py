"""The story of `make demo`: a city publishes, people authorize, others use, a regulator replays.

Each act is a module that can be read as documentation of how a party uses the SDK; `scripts.demo.story`
puts them in order. Everything is real: the processes of `wallet.supervisor`, the chain, the keys.
"""
