"""What is in a model's file: read from its bytes, without running any of its code."""
