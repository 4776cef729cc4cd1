"""The HTTP routes, one file a group, and what they share."""
