"""Evidence: one access in one file, which anybody verifies offline. docs/spec/evidence.md.

    made = make_evidence(rpc, deployment, Documents(submission, transaction, sequence, ...))
    path.write_bytes(encode_evidence(made.evidence))

    evidence = decode_evidence(path.read_bytes())
    verified = verify_evidence(evidence, deployment, Anchors(hashes=frozenset(known)))

`verify_evidence` needs no node and no key: the deployment file, and what vouches for the blocks.
"""
