"""Finding which column is which: right on equal and nearly equal tables, and never an explosion."""

from __future__ import annotations

import itertools
import random
import time
from contextlib import contextmanager

import pytest

from harness.answer import Table, compare, compare_test_suite
from harness.answer.bags import Bag
from harness.answer.columns import UndecidedError, assign_columns
from harness.answer.embed import embed_columns

SECONDS = 5.0
"""Far above the second it takes on an idle core: these tests run beside others."""


@contextmanager
def bounded():
    start = time.process_time()
    yield
    assert time.process_time() - start < SECONDS


def table(rows):
    width = len(rows[0])
    return Table(tuple(f"c{i}" for i in range(width)), ("INTEGER",) * width, rows)


def turned(rows, rng):
    """Rows and columns shuffled, whole rows kept together."""
    order = list(range(len(rows[0])))
    rng.shuffle(order)
    found = [tuple(row[i] for i in order) for row in rows]
    rng.shuffle(found)
    return found


def switched(rows, rng):
    """Two rows and two columns in which a 10/01 square is flipped: every row's and column's sum is kept."""
    found = [list(row) for row in rows]
    while True:
        i, j = rng.sample(range(len(found)), 2)
        c, d = rng.sample(range(len(found[0])), 2)
        square = (found[i][c], found[i][d], found[j][c], found[j][d])
        if square in ((1, 0, 0, 1), (0, 1, 1, 0)):
            for row, column in itertools.product((i, j), (c, d)):
                found[row][column] ^= 1
            return [tuple(row) for row in found]


def flipped(rows, rng):
    found = list(rows)
    place, column = rng.randrange(len(rows)), rng.randrange(len(rows[0]))
    row = list(found[place])
    row[column] ^= 1
    found[place] = tuple(row)
    return found


RNG = random.Random(7)


def balanced(rng):
    """Every row and every column half ones."""
    rows = []
    for _ in range(500):
        row = [1] * 10 + [0] * 10
        rng.shuffle(row)
        rows += [tuple(row), tuple(1 - value for value in row)]
    return rows


SHAPES = {
    "random": [tuple(RNG.randint(0, 1) for _ in range(20)) for _ in range(1000)],
    "nine by fifty": [tuple(RNG.randint(0, 1) for _ in range(9)) for _ in range(50)],
    "balanced": balanced(RNG),
    "circulant": [tuple(int((i + j) % 20 < 10) for j in range(20)) for i in range(1000)],
    "a cube, each column twice": [tuple((i >> (j % 10)) & 1 for j in range(20)) for i in range(1024)],
    "a cube and its complement": [
        tuple((i >> j) & 1 for j in range(10)) + tuple(1 - ((i >> j) & 1) for j in range(10)) for i in range(1024)
    ],
    "all triples of twenty": [
        tuple(int(k in chosen) for k in range(20)) for chosen in itertools.combinations(range(20), 3)
    ],
    "sparse": [tuple(int(i % 20 == j) for j in range(20)) for i in range(1000)],
    "twenty equal columns": [(i % 2,) * 20 for i in range(1000)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_turned_table_is_the_same(shape):
    rows = SHAPES[shape]
    with bounded():
        found = compare(table(rows), table(turned(rows, random.Random(1))))
        assert found.matches["default"]
        assert compare_test_suite(table(rows), table(turned(rows, random.Random(2))), "SELECT 1")


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in ("twenty equal columns", "sparse")])
def test_a_turned_table_with_two_by_two_cells_switched_is_another(shape):
    rows = SHAPES[shape]
    rng = random.Random(3)
    with bounded():
        found = compare(table(rows), table(turned(switched(rows, rng), rng)))
    assert not found.matches["default"]
    assert "given up" not in found.reason


@pytest.mark.parametrize("shape", SHAPES)
def test_a_turned_table_with_one_cell_flipped_is_another(shape):
    rows = SHAPES[shape]
    rng = random.Random(4)
    with bounded():
        assert not compare(table(rows), table(turned(flipped(rows, rng), rng))).matches["default"]


def test_two_independent_balanced_tables_differ():
    with bounded():
        assert not compare(table(balanced(random.Random(1))), table(balanced(random.Random(2)))).matches["default"]


def test_rows_with_labels_keep_the_search_inside_them():
    rows = SHAPES["random"]
    labels = [i // 10 for i in range(len(rows))]
    order = [19 - i for i in range(20)]
    ours = [tuple(row[i] for i in order) for row in rows]
    with bounded():
        assert assign_columns(Bag(rows, labels), Bag(ours, labels)) == tuple(order)
        assert assign_columns(Bag(rows, labels), Bag(ours[::-1], labels)) is None


def test_the_found_columns_lay_the_rows_onto_each_other():
    rng = random.Random(5)
    for _ in range(50):
        width, height = rng.randint(2, 6), rng.randint(1, 12)
        rows = [tuple(rng.randint(0, 1) for _ in range(width)) for _ in range(height)]
        ours = turned(rows, rng)
        columns = assign_columns(Bag(rows), Bag(ours))
        assert sorted(tuple(row[i] for i in columns) for row in ours) == sorted(rows)


def test_extra_columns_are_found_among_many():
    rng = random.Random(6)
    rows = [tuple(rng.randint(0, 1) for _ in range(10)) for _ in range(300)]
    wide = turned([row + tuple(rng.randint(0, 1) for _ in range(10)) for row in rows], rng)
    with bounded():
        columns = embed_columns(Bag(rows), Bag(wide), 10)
        assert sorted(tuple(row[i] for i in columns) for row in wide) == sorted(rows)
        assert embed_columns(Bag(flipped(rows, rng)), Bag(wide), 10) is None


def test_a_choice_among_tied_rows_is_found_with_the_columns_turned():
    rng = random.Random(8)
    pool = [tuple(rng.randint(0, 1) for _ in range(8)) for _ in range(200)]
    some = turned(rng.sample(pool, 60), rng)
    with bounded():
        columns = embed_columns(Bag(pool), Bag(some), 8)
        assert columns is not None
        left = list(pool)
        for row in some:
            left.remove(tuple(row[i] for i in columns))


def triple_system(rng, points=19):
    """A random Steiner triple system by hill climbing: any two columns meet in one row, so refinement sees nothing."""
    third, degree, blocks = {}, [0] * points, set()
    while len(blocks) < points * (points - 1) // 6:
        x = rng.choice([p for p in range(points) if degree[p] < (points - 1) // 2])
        y, z = rng.sample([p for p in range(points) if p != x and (x, p) not in third], 2)
        if (y, z) in third:
            old = frozenset((y, z, third[y, z]))
            blocks.discard(old)
            for a, b, _ in itertools.permutations(old):
                third.pop((a, b), None)
            for p in old:
                degree[p] -= 1
        blocks.add(frozenset((x, y, z)))
        for a, b, c in itertools.permutations((x, y, z)):
            third[a, b] = c
        for p in (x, y, z):
            degree[p] += 1
    return [tuple(int(p in block) for p in range(points)) for block in sorted(map(sorted, blocks))]


def hadamard(prime):
    """Rows of plus and minus ones, any two of them orthogonal (Paley): every pair of columns agrees equally often."""
    squares = {x * x % prime for x in range(1, prime)}
    core = [[1] + [int(i != j and (j - i) % prime in squares) for j in range(prime)] for i in range(prime)]
    return [(1,) * (prime + 1), *map(tuple, core)]


def plane(order):
    """Points on lines of the projective plane over a prime: any two columns meet in one row."""
    points = [(1, a, b) for a in range(order) for b in range(order)] + [(0, 1, a) for a in range(order)] + [(0, 0, 1)]
    return [tuple(int(sum(map(int.__mul__, line, p)) % order == 0) for p in points) for line in points]


SYMMETRIC = {
    "hadamard 20": hadamard(19),
    "hadamard 24": hadamard(23),
    "a plane of 13 points": plane(3),
    "squares of a rook": [
        tuple(int(a != b and (a // 4 == b // 4 or a % 4 == b % 4)) for b in range(16)) for a in range(16)
    ],
    "triples of 15": triple_system(random.Random(2), 15),
}


@pytest.mark.parametrize("shape", SYMMETRIC)
def test_tables_in_which_all_columns_look_alike_are_decided(shape):
    """What is left undecided needs 19 such columns and more: incidence tables of designs, not answers of queries."""
    rows, rng = SYMMETRIC[shape], random.Random(4)
    with bounded():
        assert assign_columns(Bag(rows), Bag(turned(rows, rng))) is not None
        assert assign_columns(Bag(rows), Bag(turned(switched(rows, rng), rng))) is None


def test_a_search_that_would_take_too_long_is_given_up_and_says_so():
    rng = random.Random(9)
    one, other = triple_system(rng), triple_system(rng)
    with bounded():
        with pytest.raises(UndecidedError):
            assign_columns(Bag(one), Bag(turned(other, rng)), limit=100_000)
        found = compare(table(one), table(turned(other, rng)))
    assert not found.matches["default"]


def test_the_work_limit_does_not_depend_on_the_clock():
    rng = random.Random(10)
    one = triple_system(rng)
    two = turned(one, rng)
    results = set()
    for _ in range(2):
        try:
            results.add(assign_columns(Bag(one), Bag(two), limit=300_000))
        except UndecidedError:
            results.add("undecided")
    assert len(results) == 1
