"""Data sets: named splits of features and labels, with a fingerprint of their content."""
