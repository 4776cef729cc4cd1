"""Commitments, encryption, signatures and shares: bytes in, bytes out."""
