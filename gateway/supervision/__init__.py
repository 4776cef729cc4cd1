"""Supervision: rules over the stream of accesses, alerts, and restrictions that follow from them."""
