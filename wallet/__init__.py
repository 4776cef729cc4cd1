"""What each party holds and does, one room a party: docs/spec and DESIGN 3."""
