"""A container for compressed weights: masks, codebooks and entropy-coded indices, exactly."""
