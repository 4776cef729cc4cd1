"""The benchmark: `make bench`, or `python -m scripts.bench [subject ...]`.

Each subject is a module with a function `run(bench)` that measures and hands in lines. A line has two
sides, ours and what a user would pick instead, measured in the same run on the same machine. The
peers are in `scripts.bench.baselines`; they do what the systems do that they stand for, no worse.
"""
