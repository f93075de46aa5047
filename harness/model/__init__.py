"""Base models and adapters: where they come from, how they are loaded, merged and told apart.

Import the parts by name: `harness.model.settings` needs no torch, `harness.model.load` and `harness.model.adapter` do.
"""

import logging

# before anything imports bitsandbytes, which advises on optional hub kernels as it is imported
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
