"""The recorder: group commit of accesses, and relaying, over a journal (DESIGN 3.6)."""
