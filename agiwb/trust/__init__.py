"""Trust: who made an artifact, whether it is still what was made, and who may read it."""
