"""A synthetic city's files: two registers and what five departments hold about its people.

`python -m scripts.city --out DIR --seed N` writes them; the same seed gives the same bytes. Nobody in
them exists: the division codes, and so every resident id and credit code, are ones that no real place has.
"""
