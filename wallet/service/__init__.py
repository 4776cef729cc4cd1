"""The HTTP shell of keyholder and identity authority; imports nothing else of `wallet`."""
