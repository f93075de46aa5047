"""Endless text for the base model: random schemas, statements over them and what the statements mean.

A document is a schema (in one of five short notations or as a script of CREATE TABLE and INSERT), then several
statements over it, each with a question set off in one of many ways, or with an explanation after it, or bare.
No table of the benchmark occurs; chat turns, the prompt's tags and its instruction never do.
"""

from __future__ import annotations

from random import Random

import shapes_joins
import shapes_more  # noqa: F401  (registers its shapes)
from corpus_phrases import BOOK
from corpus_words import (
    ADJECTIVES,
    DATES,
    FILLERS,
    FUNCTION_WORDS,
    LEADS,
    MARKS,
    MEASURES,
    NOUNS,
    ORDERS,
    PIECES,
    PREPOSITIONS,
    REPLIES,
    TRAITS,
    invented,
)
from generate import read_domains
from schema import Column, Schema, Table, literal, sample, shown, singular
from shapes import SHAPES, Shape
from wording import render

Segment = tuple[str, int]
"""Text and its weight class: 1 = a statement (full loss), 0 = anything else."""

BANNED = {w for _, _, _, tables in read_domains() for t in tables for w in (t.name, *singular(t.name).split("_"))}
PLAIN_NOUNS = [n for n in NOUNS if n not in BANNED and not n.endswith("s")]
NAMES = sorted(SHAPES)
WEIGHTS = [SHAPES[n][2] for n in NAMES]


def know_pieces(vocabulary: dict[str, int]) -> None:
    """Lets invented words be made of the tokenizer's own letter groups."""
    PIECES[:] = sorted(p for p in vocabulary if p.isascii() and p.isalpha() and p.islower() and len(p) < 7)


def plural(word: str) -> str:
    """The regular plural that `schema.singular` undoes."""
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("ch", "sh", "x", "ss")) else "s")


def noun(r: Random) -> str:
    """An everyday noun or an invented one."""
    if r.random() < 0.5:
        return r.choice(PLAIN_NOUNS)
    word = invented(r)
    return word + "o" if word.endswith("s") else word


def table_name(r: Random) -> str:
    """One or two words, plural."""
    head = "" if r.random() < 0.7 else r.choice((r.choice(ADJECTIVES), noun(r))) + "_"
    name = head + plural(noun(r))
    return name if name not in BANNED else table_name(r)


def values(r: Random) -> list[str]:
    """A pool of text values in one style."""
    style = r.random()
    if style < 0.3:
        return [invented(r).capitalize() for _ in range(5)]
    if style < 0.5:
        return r.sample(ADJECTIVES, 4)
    if style < 0.65:
        return [n.capitalize() for n in r.sample(PLAIN_NOUNS, 5)]
    if style < 0.8:
        return [invented(r) for _ in range(4)]
    if style < 0.9:
        return [f"{r.choice('ABCDEFGHKLMNPRSTVXZ')}{r.choice('ABCDEFKLMNPQRST')}{r.randint(1, 99)}" for _ in range(5)]
    return [f"{r.choice(ADJECTIVES).capitalize()} {r.choice(PLAIN_NOUNS).capitalize()}" for _ in range(4)]


def compound(r: Random, base: str) -> str:
    """A column name: the bare word, or with a word before it."""
    roll = r.random()
    if roll < 0.35:
        return base
    if roll < 0.62:
        return f"{r.choice((r.choice(ADJECTIVES), noun(r), noun(r)))}_{base}"
    if roll < 0.76:
        tail = f"_{noun(r)}" if r.random() < 0.3 else ""
        return f"{r.choice((invented(r), noun(r), base))}_{r.choice(PREPOSITIONS)}{tail}"
    return noun(r)


def column(r: Random) -> Column:
    """A plain column with a handful of values."""
    roll = r.random()
    if roll < 0.42:
        pool = values(r)
        made = Column(compound(r, r.choice(TRAITS)), "text", spec=("few", pool))
    elif roll < 0.55:
        made = Column(r.choice(DATES) if r.random() < 0.5 else compound(r, "date"), "date", spec=("date",))
    else:
        name = compound(r, r.choice(MEASURES))
        if r.random() < 0.12:
            made = Column(
                r.choice(("year", "founded", "built_in", "since_year", compound(r, "year"))),
                "int",
                spec=("int", 1900, 2025),
            )
        else:
            low = r.choice((0, 1, 1, 5, 10, 40, 100))
            high = low + r.choice((8, 15, 40, 90, 400, 900, 3000))
            made = Column(
                name, *(("int", "", ("int", low, high)) if r.random() < 0.7 else ("real", "", ("real", low, high)))
            )
    return made


def table(r: Random, parents: list[Table]) -> Table:
    """A table with an id, perhaps foreign keys, and two to five plain columns, one of them text."""
    count = r.choice((3, 4, 4, 5, 6))
    columns = [Column("id", "id", values=list(range(1, count + 1)))]
    label = Column(r.choice(("name", "name", "title", "label", "code", r.choice(TRAITS), compound(r, "name"))), "text")
    label.spec = ("few", values(r))
    plain = [label] + [column(r) for _ in range(r.choice((1, 2, 2, 3, 3, 4)))]
    keys = [Column(singular(p.name) + "_id", "key", target=p.name) for p in parents]
    body = plain + keys if r.random() < 0.4 else [label, *keys, *plain[1:]]
    for made in body:
        made.values = [r.randint(1, 4) for _ in range(count)] if made.kind == "key" else sample(r, made.spec, count)
    named: dict[str, Column] = {}
    for made in columns + body:
        named.setdefault(made.name, made)
    name = table_name(r)
    while any(name == p.name for p in parents):
        name = table_name(r)
    return Table(name, list(named.values()))


def schema(r: Random) -> Schema:
    """Two to four tables: a chain, a star or a pair."""
    tables = [table(r, [])]
    for _ in range(r.choice((1, 1, 2, 2, 3))):
        parents = [tables[-1]] if r.random() < 0.75 else [r.choice(tables)]
        if len(tables) > 1 and r.random() < 0.15:
            parents = r.sample(tables, 2)
        made = table(r, parents)
        if all(made.name != t.name for t in tables):
            tables.append(made)
    for t in tables:
        t.rows = list(zip(*(c.values for c in t.columns), strict=True))
    r.shuffle(tables)
    if len(tables) < 2 or not any(t.of("key") for t in tables):
        return schema(r)
    return Schema(tables)


TYPES = {
    "int": ("INT", "INTEGER", "int", "BIGINT"),
    "real": ("REAL", "FLOAT", "DOUBLE", "real"),
    "text": ("TEXT", "VARCHAR(50)", "text", "VARCHAR"),
    "date": ("DATE", "date", "DATE", "DATE"),
}
TYPES["id"] = TYPES["key"] = TYPES["int"]


def notation(r: Random, s: Schema) -> str:
    """The schema in one of five notations that are not SQL, with or without types, keys and a few rows."""
    style, typed, rows = r.randrange(5), r.random() < 0.4, r.random() < 0.35
    out = []
    for t in s.tables:
        names = []
        for c in t.columns:
            name = f"{c.name} {TYPES[c.kind][2]}" if typed else c.name
            names.append(f"{name} -> {c.target}.id" if c.kind == "key" and style in (0, 1) else name)
        if style == 0:
            text = f"table {t.name}: " + ", ".join(names)
        elif style == 1:
            text = f"{t.name}({', '.join(names)})"
        elif style == 2:
            text = f"# {t.name}\n- " + "\n- ".join(names)
        elif style == 3:
            text = f"{t.name} | " + " | ".join(names)
        else:
            text = f"{t.name}: [" + "; ".join(names) + "]"
        if rows:
            mark = " | " if style == 3 else ", "
            text += "".join("\n" + mark.join(map(shown, row)) for row in t.rows[:2])
        out.append(text)
    return "\n".join(out) + "\n"


def dump(r: Random, s: Schema) -> str:
    """The schema as a database dump would have it."""
    pick, gap = r.randrange(4), r.choice(("\n", " "))
    out = []
    for t in s.tables:
        columns = ", ".join(f"{c.name} {TYPES[c.kind][pick]}" for c in t.columns)
        out.append(f"CREATE TABLE {t.name} ({columns});")
        if r.random() < 0.6:
            names = f" ({', '.join(c.name for c in t.columns)})" if r.random() < 0.3 else ""
            rows = ", ".join("(" + ", ".join(map(literal, row)) + ")" for row in t.rows[: r.randint(2, 4)])
            out.append(f"INSERT INTO {t.name}{names} VALUES {rows};")
    return gap.join(out) + "\n"


TELL = (("", ";\n-- ", "\n"), ("sql: ", "\nmeans: ", "\n"), ("> ", " : ", "\n"))


def asking(r: Random) -> tuple[str, str, str]:
    """How a document sets off questions from statements: (before the question, between, after the statement).

    Questions in tags stand in lists without answers, as in a form: there the end is empty.
    """
    mark, reply = (r.choice(MARKS), r.choice(REPLIES)) if r.random() < 0.7 else (invented(r), invented(r))
    case = r.choice((str, str.capitalize, str.lower))
    mark, reply, gap = case(mark), case(reply), r.choice(("\n", "\n", "\n\n", " "))
    style = r.randrange(8)
    if style == 0:
        return "-- ", "\n", ";\n"
    if style == 1:
        return f"/* {mark}: " if gap == " " else "/* ", " */" + gap, ";\n"
    if style == 2:
        return f"<{mark}>" + gap.strip(" "), f"{gap.strip(' ')}</{mark}>{gap}", ""
    if style == 3:
        return f"### {mark}\n", f"\n\n### {reply}\n", ";\n\n"
    if style == 4:
        return "", r.choice((" => ", "\n", "\n\n", "\n> ", " | ")), r.choice((";\n", "\n"))
    if style == 5:
        return f"[{mark}] ", f"{gap}[{reply}] ", ";\n"
    if style == 6:
        return f"{mark}\n\n", f"\n\n{reply}\n\n", ";\n\n"
    return f"{mark}: ", f"{gap}{reply}: ", r.choice((";\n", ";\n\n", "\n"))


def preamble(r: Random) -> str:
    """Now and then a line of words before or after the schema, which mean nothing."""
    if r.random() < 0.6:
        return ""
    pools = (FUNCTION_WORDS, FUNCTION_WORDS, PLAIN_NOUNS, ADJECTIVES, FILLERS, MARKS, REPLIES, TRAITS)
    words = [r.choice(r.choice(pools)) if r.random() < 0.85 else invented(r) for _ in range(r.randint(2, 16))]
    start, mark, gap = r.choice(("", "# ", "-- ")), r.choice((".", ":", ",", "")), r.choice(("\n", "\n\n"))
    return start + " ".join(words).capitalize() + mark + gap


def loosened(r: Random, question: str, writes: bool) -> str:
    """The question as different people would type it: a lead, a word lost or put in, capitals, a mark at the end."""
    question = question[0].lower() + question[1:]
    if r.random() < 0.5:
        question = f"{r.choice(ORDERS if writes else LEADS)} {question}"
    if r.random() < 0.25:
        words = question.split(" ")
        at = r.randrange(len(words))
        if words[at] in FUNCTION_WORDS[:4]:
            del words[at]
        elif r.random() < 0.5:
            words.insert(at, r.choice(FILLERS))
        question = " ".join(words)
    if r.random() < 0.6:
        question = question[0].upper() + question[1:]
    return question + r.choice(("", "", "?", ".", "."))


def statement(r: Random, s: Schema) -> Shape | None:
    """A random statement over the schema."""
    name = r.choices(NAMES, WEIGHTS)[0]
    if not s.links and name in shapes_joins.__dict__:
        return None
    shape = SHAPES[name][3](r, s)
    if shape is not None:
        shape.name = name
    return shape


def document(r: Random, budget: int = 1480) -> list[Segment]:
    """One document of about `budget` characters."""
    s = schema(r)
    roll = r.random()
    bare, told = roll < 0.06, 0.06 <= roll < 0.13
    written = dump(r, s) if bare or r.random() < 0.45 else notation(r, s)
    out: list[Segment] = [(preamble(r) + written + preamble(r), 0)]
    before, middle, end = r.choice(TELL) if told else asking(r)
    length = len(out[0][0])
    while length < budget:
        shape = statement(r, s)
        if shape is None:
            continue
        if bare:
            out.append((shape.sql + ";\n", 1))
            length += len(out[-1][0])
            continue
        writes = not shape.sql.startswith(("SELECT", "WITH"))
        question = loosened(r, render(r, shape, BOOK), writes)
        if told:
            out += [(before + shape.sql, 1), (middle + question + end, 0)]
        else:
            out += [(before + question + middle, 0), (shape.sql + end if end else "", 1)]
        length += len(out[-1][0]) + len(out[-2][0])
    return out
