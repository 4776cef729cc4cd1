"""The HTTP service: it serves ciphertext, records accesses, and never sees plaintext or keys."""
