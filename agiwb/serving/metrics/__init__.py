"""What the server counts, and how monitoring reads it."""
