"""How a provider's ciphertext comes in, is cut into tiles, and is read again."""
