"""Folder that `evaluate.load` takes; see `harness.metrics`."""
