"""What of a bundle can be checked without its target: real tools, each named with its version."""
