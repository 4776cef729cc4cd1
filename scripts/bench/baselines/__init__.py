"""Alternatives that a user would pick, each as small and as good as it can honestly be made."""
