"""What the city's data bureau does: admit parties, set purposes, issue emergency orders, hand over."""
