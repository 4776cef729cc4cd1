"""What the regulator does: restrict, lift, review; replay, trace and export everything."""
