"""Faults: many people and consumers use the real system while it is broken in every way, then it is counted.

make faults                    # about 70 faults and the two controls, some minutes
make faults LONG=1             # more than 1,000
make faults FAULTS="--seed 7 --only node-killed --count 20"
"""
