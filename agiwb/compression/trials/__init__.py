"""Making a sweep's candidates: each in a process of its own, none twice."""
