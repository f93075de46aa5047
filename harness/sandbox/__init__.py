"""Untrusted SQL in worker processes with hard limits: the parent survives anything a worker does.

`protocol` says what travels, `confine` what a worker gives up, `engine` how DuckDB is locked, `worker` what the child
runs, `process` and `pool` how the parent holds the deadline. What is not covered is written in `worker`.
"""
