"""The chain as a library: signed records, policy, recorder, replay, evidence. Imports neither gateway nor wallet."""
