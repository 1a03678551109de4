"""Reporting: records as pictures, tables and pages. Nothing here computes a result."""
