"""Fine-tune, evaluate and time language models for text-to-SQL."""

__version__ = "0.1.0"
