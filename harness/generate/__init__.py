"""Answers from a model: transformers here, an OpenAI-compatible server, or a file of answers made elsewhere.

Import the parts by name: `settings`, `base`, `replay` and `server` need no torch, `local` does.
"""
