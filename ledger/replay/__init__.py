"""Replay: every event again from the first, every decision again, every signature checked.

Source: DESIGN 3.8.
"""
