"""What a bank, an insurer or another department does: apply, ask people, use what was granted, check it."""
