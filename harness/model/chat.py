"""Chat messages to token ids: the template, the tokens that end an answer, prompt and training row from one text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.model.source import locate_folder

GEMMA_TEMPLATE = Path(__file__).with_name("gemma_chat.jinja")
GEMMA_TURN_TOKENS = ("<start_of_turn>", "<end_of_turn>")
SENTINEL = "SELECT 17"


def set_template(tokenizer: Any, template_from: str) -> str:
    """Give `tokenizer` its chat template and return where it came from: a source, `tokenizer`, or `built-in gemma`."""
    if template_from:
        tokenizer.chat_template = _read_template(template_from)
        return template_from
    if tokenizer.chat_template:
        return "tokenizer"
    vocabulary = tokenizer.get_vocab()
    if not all(token in vocabulary for token in GEMMA_TURN_TOKENS):
        raise ModelError(
            "The tokenizer has no chat template and no Gemma turn tokens; set model.chat_template_from to a hub id, a "
            "folder or a .jinja file."
        )
    tokenizer.chat_template = GEMMA_TEMPLATE.read_text(encoding="utf-8")
    return "built-in gemma"


def _read_template(source: str) -> str:
    path = Path(source).expanduser()
    if path.suffix in (".jinja", ".j2"):
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise ModelError(f"model.chat_template_from = {source}: {error.strerror}; check the path.") from error
    from transformers import AutoTokenizer

    wanted = ("*.json", "*.jinja", "*.model")
    folder = locate_folder(source, "", "model.chat_template_from", wanted)
    template = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False).chat_template
    if not isinstance(template, str):
        raise ModelError(f"model.chat_template_from = {source} has no chat template; name another or a .jinja file.")
    return template


def render(tokenizer: Any, messages: Iterable[Mapping[str, str]], prompt: bool) -> str:
    """Return the chat as text, with the model's turn opened at the end where `prompt` is set."""
    try:
        text = tokenizer.apply_chat_template(
            [dict(message) for message in messages], tokenize=False, add_generation_prompt=prompt
        )
    except Exception as error:  # jinja's errors and the template's own raise_exception
        raise ModelError(
            f"The chat template refuses these messages ({error}); see model.chat_template_from."
        ) from error
    return str(text)


def encode_prompt(tokenizer: Any, messages: Iterable[Mapping[str, str]]) -> list[int]:
    """Return the ids the model is asked with."""
    return list(tokenizer(render(tokenizer, messages, prompt=True), add_special_tokens=False)["input_ids"])


def encode_example(
    tokenizer: Any, messages: Sequence[Mapping[str, str]], completion: str
) -> tuple[list[int], list[int]]:
    """Return (prompt ids, completion ids); the prompt's are those of `encode_prompt`: training shows what is asked."""
    asked = render(tokenizer, messages, prompt=True)
    whole = render(tokenizer, [*messages, {"role": "assistant", "content": completion}], prompt=False)
    if not whole.startswith(asked):
        raise ModelError(
            "The chat template renders a prompt differently once it is answered, so a model would be asked what it was "
            "not trained on; set model.chat_template_from to a template that keeps the prompt."
        )
    prompt_ids, answer_ids = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in (asked, whole[len(asked) :])
    )
    return list(prompt_ids), list(answer_ids)


def stop_ids(tokenizer: Any, generation_config: Any = None, extra: Iterable[str] = ()) -> tuple[int, ...]:
    """Return the ids that end an answer: eos, the model's own, the template's end of a turn, and `extra` tokens."""
    ids: set[int] = set()
    for eos in (tokenizer.eos_token_id, getattr(generation_config, "eos_token_id", None)):
        ids.update([eos] if isinstance(eos, int) else eos or [])
    ids.update(_turn_end(tokenizer))
    for token in extra:
        found = tokenizer.get_vocab().get(token)
        if found is None:
            raise ModelError(f"generate.stop: {token!r} is no single token of this vocabulary; leave it out.")
        ids.add(found)
    if not ids:
        raise ModelError("Neither tokenizer nor chat template has a token that ends an answer; set generate.stop.")
    return tuple(sorted(ids))


def _turn_end(tokenizer: Any) -> list[int]:
    """Return the special token that the template puts right behind an answer."""
    if not tokenizer.chat_template:
        return []
    _, answer = encode_example(tokenizer, [{"role": "user", "content": "?"}], SENTINEL)
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    return next(([token] for token in answer if token in special), [])
