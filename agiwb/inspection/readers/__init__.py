"""One reader a format; each returns the same Contents."""
