"""Puts a shape into words with a phrase book: templates with `[one|two|]` choices and `{slot}` fields."""

from __future__ import annotations

import re
from functools import lru_cache
from random import Random
from typing import Any

from conditions import Condition
from schema import Table
from shapes import Shape

Book = dict[str, Any]
"""Shape name -> templates; `when` kinds, `functions` words and word pairs under their own keys."""

CHOICE = re.compile(r"\[([^\]]*)\]")


@lru_cache(maxsize=4096)
def pieces(template: str) -> tuple[tuple[str, ...], ...]:
    """The template as a row of choices; plain text is a choice of one."""
    return tuple(tuple(p.split("|")) if i % 2 else (p,) for i, p in enumerate(CHOICE.split(template)))


def expand(r: Random, template: str) -> str:
    """The template with one alternative taken at each choice."""
    return "".join(p[0] if len(p) == 1 else p[int(r.random() * len(p))] for p in pieces(template))


def say_condition(r: Random, c: Condition, book: Book) -> str:
    """A condition as a relative clause."""
    text = expand(r, r.choice(book["when " + c.kind]))
    return text.replace("{c}", c.say).replace("{v}", c.values[0]).replace("{w}", c.values[-1])


def fields(r: Random, slots: dict[str, Any], book: Book) -> dict[str, str]:
    """Every slot as text: tables in the plural (`t`) and singular (`t1`), flags as the book's words."""
    out: dict[str, str] = {}
    for name, value in slots.items():
        if isinstance(value, Table):
            out[name], out[name + "1"] = value.many, value.one
        elif isinstance(value, Condition):
            out[name] = say_condition(r, value, book)
        elif name == "f":
            out[name] = r.choice(book["functions"][value])
        elif name == "pairs":
            out[name] = ", ".join(f"{k} {v}" for k, v in value)
        elif isinstance(value, bool):
            continue
        else:
            out[name] = str(value)
    for flag, key in (("down", "most"), ("down", "order"), ("above", "above"), ("high", "highest"), ("up", "raise")):
        if flag in slots:
            pair = book[key + " date"] if slots.get("date") and key == "most" else book[key]
            out[key] = r.choice(pair[0 if slots[flag] else 1])
    if "n" in slots:
        out["n_most"] = out.get("most", "") if slots["n"] == 1 else f"{slots['n']} {out.get('most', '')}"
    return out


def render(r: Random, shape: Shape, book: Book) -> str:
    """The question for a shape, first letter in upper case."""
    key = shape.name
    for flag in ("both", "every"):
        if flag in shape.slots:
            key += " yes" if shape.slots[flag] else " no"
    text = expand(r, r.choice(book[key])).format_map(fields(r, shape.slots, book))
    return text[0].upper() + text[1:]
