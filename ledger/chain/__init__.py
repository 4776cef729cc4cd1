"""The chain as one speaks to it: questions, calls, events, transactions, deployment, the embedded node."""
