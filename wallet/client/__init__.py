"""The client SDK: typed calls to the other parties, signed, and verified when they come back."""
