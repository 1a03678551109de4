"""Crews: who carries out pieces of work, here or on a Dask cluster, and what they report."""
