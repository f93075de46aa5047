"""QLoRA training with trl and peft: checkpoints, resume, and a card beside the adapter.

Import the parts by name: `settings` needs no torch, `train` does.
"""

import logging

# before anything imports bitsandbytes, which advises on optional hub kernels as it is imported
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
