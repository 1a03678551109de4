"""Which parts of its input a model's answers rest on."""
