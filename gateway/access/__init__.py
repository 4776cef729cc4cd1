"""One access: verified, recorded, then released."""
