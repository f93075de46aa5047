"""QLoRA training with trl and peft: checkpoints, resume, and a card beside the adapter.

Import the parts by name: `settings` needs no torch, `train` does.
"""
