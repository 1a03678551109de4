"""TFMA's metrics computed without Beam: its own graph of computations over whole arrays."""
