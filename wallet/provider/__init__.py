"""A department's work: describe its data, check it, encrypt it at home, publish it, decide who may use it."""
