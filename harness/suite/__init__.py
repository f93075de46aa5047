"""Suites: databases made on the fly, on which a near-miss of the gold gives another answer than the gold.

`schema` reads what the tables may hold, `neighbours` makes near-misses of the gold, `witness` fills the tables,
`distill` keeps the few fillings that tell the most near-misses apart. Nothing here runs a model's statement.
"""
