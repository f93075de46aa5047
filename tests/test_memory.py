"""Memory that truly does not suffice: a process whose address space is bounded while it answers and trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_model

SCRIPT = """
import dataclasses, json, resource, sys
from pathlib import Path
import torch
from harness.errors import DeviceError
from harness.generate.base import Request
from harness.generate.local import TransformersGenerator
from harness.generate.settings import DecodingSettings
from harness.model.load import load_base
from harness.model.settings import ModelSettings
from harness.trainer.settings import Example, TrainSettings
from harness.trainer.train import train

folder = Path(sys.argv[1])
torch.set_num_threads(1)
settings = ModelSettings(base=str(folder / "tiny"), precision="fp32", device="cpu", attention="eager")
asked = ({"role": "user", "content": "total " * 300},)
examples = [Example(asked, "SELECT total " * 20) for _ in range(64)]
requests = [Request(str(number), asked) for number in range(48)]
how = TrainSettings(epochs=1, max_steps=1, max_length=512, packing="none", batch_size=1, accumulation=1,
                    gradient_checkpointing=False, report_to=(), modules_to_save=())


def bound(megabytes):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, resource.RLIM_INFINITY))


generator = TransformersGenerator(load_base(settings))
alone = {one.id: one.completion for one in generator.generate(requests[:1], DecodingSettings(max_new_tokens=4))}
train(examples[:1], settings, how, folder / "first")
bound(int(sys.argv[2]))
together = DecodingSettings(max_new_tokens=4, batch_size=48)
found = {one.id: one.completion for one in generator.generate(requests, together)}
said = ""
try:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))  # loading starts threads
    many = dataclasses.replace(how, batch_size=64)
    train(examples, settings, many, folder / "second", progress=lambda *_: bound(int(sys.argv[2])))
except DeviceError as error:
    said = str(error)
print(json.dumps({"same": set(found.values()) == set(alone.values()), "answers": len(found),
                  "notes": list(generator.facts["notes"]), "said": said}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="bounds a process's memory as Linux counts it")
def test_a_process_whose_memory_is_full_halves_its_batches_and_says_what_training_needs(tmp_path):
    tiny_model.build(tmp_path / "tiny")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), "80"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},  # else each thread's own heap counts, used or not
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["answers"] == 48
    assert found["same"]
    assert found["notes"][0] == "memory did not suffice for batches of 48; went on with 24"
    assert "train.batch_size below 64" in found["said"]
