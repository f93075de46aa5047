"""Measured figures: repeated, stored by machine, held against the last run of the same machine. Imports no torch."""
