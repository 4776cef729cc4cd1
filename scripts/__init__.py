"""Set-up, build, demo and measurements: run from a checkout, not installed."""
