"""The canonical text of conditions: AND and OR as sets, NOT moved inwards, one spelling for each comparison.

What is done holds in three-valued logic: NOT (a < b) is a >= b for NULLs too, De Morgan's laws hold, and IN and BETWEEN
over literals of one kind are written out as the comparisons they stand for.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

_SWAPPED: dict[type[exp.Expr], str] = {exp.GT: "lt", exp.GTE: "le"}
_STRAIGHT: dict[type[exp.Expr], str] = {exp.LT: "lt", exp.LTE: "le"}
_NEGATED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.NEQ, exp.NEQ: exp.EQ, exp.GT: exp.LTE, exp.LTE: exp.GT, exp.GTE: exp.LT, exp.LT: exp.GTE,
    exp.NullSafeEQ: exp.NullSafeNEQ, exp.NullSafeNEQ: exp.NullSafeEQ,
}  # fmt: skip
_EXPANDED = 50
"""Longest IN list written out as equalities."""
_REPEATABLE = 400
"""Longest operand that is written twice; longer ones would grow without bound when nested."""
_UNREPEATABLE = (exp.Rand, exp.Uuid, exp.Anonymous, exp.In, exp.Between)
"""What an operand must not hold to be written twice: volatile calls, and what would itself be written out."""


def unwrapped(node: exp.Expr) -> exp.Expr:
    """The node without brackets around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


class LogicWriter:
    """Writes conditions; `text` writes everything else."""

    def text(self, node: Any) -> str:
        """The canonical text of any part of a tree."""
        raise NotImplementedError

    def conjuncts(self, node: exp.Expr) -> list[str]:
        """What must all hold for `node` to hold."""
        return self._operands(node, "And", False)

    def joined(self, name: str, operands: list[str]) -> str:
        """And or Or of a set of operands."""
        operands = sorted(set(operands))
        return operands[0] if len(operands) == 1 else f"({name} {' '.join(operands)})"

    def _operands(self, node: exp.Expr, wanted: str, negate: bool) -> list[str]:
        """The operands of the chain of ANDs (or ORs) that `node`, or NOT `node`, amounts to."""
        found: list[str] = []
        stack = [(node, negate)]
        while stack:
            one, negated = stack.pop()
            one = unwrapped(one)
            if isinstance(one, exp.Not):
                stack.append((one.this, not negated))
            elif isinstance(one, (exp.And, exp.Or)) and isinstance(one, exp.And) is ((wanted == "And") is not negated):
                stack += [(one.this, negated), (one.args["expression"], negated)]
            else:
                name, parts = self._condition(one, negated)
                found += parts if name == wanted else [self.joined(name, parts)]
        return found

    def _condition(self, one: exp.Expr, negated: bool) -> tuple[str, list[str]]:
        """(`And` or `Or`, operands) of something that is no chain of the wanted kind; one operand: just itself."""
        if isinstance(one, (exp.And, exp.Or)):
            name = "And" if isinstance(one, exp.And) is not negated else "Or"
            return name, self._operands(one, name, negated)
        if isinstance(one, exp.In):
            parts = self._in_parts(one, negated)
            if parts is not None:
                return ("And" if negated else "Or"), parts
        elif isinstance(one, exp.Between):
            parts = self._between_parts(one, negated)
            if parts is not None:
                return ("Or" if negated else "And"), parts
        elif negated:
            other = _NEGATED.get(type(one))
            if other is not None:
                return "And", [self._comparison(one, other)]
        text = self._whole(one)
        return "And", [f"(Not {text})" if negated else text]

    def _whole(self, one: exp.Expr) -> str:
        if isinstance(one, exp.In):
            return self._in_whole(one)
        if isinstance(one, exp.Between):
            low, high = self.text(one.args["low"]), self.text(one.args["high"])
            return f"(Between {self.text(one.this)} {low} {high} {one.args.get('symmetric')})"
        return self.text(one)

    def connected(self, node: exp.Expr) -> str:
        """AND, OR, IN or BETWEEN as a whole."""
        name, parts = self._condition(node, False)
        return self.joined(name, parts)

    def negation(self, node: exp.Expr) -> str:
        """NOT as a whole; NOT NOT x stays where x is no condition, for it makes a truth value of it."""
        inner = unwrapped(node.this)
        if isinstance(inner, exp.Not) and not isinstance(
            unwrapped(inner.this), (exp.Predicate, exp.Connector, exp.Not)
        ):
            return f"(Not (Not {self.text(inner.this)}))"
        if isinstance(inner, exp.Not):
            return self.text(inner.this)
        name, parts = self._condition(inner, True)
        return self.joined(name, parts)

    def comparison(self, node: exp.Expr) -> str:
        """= <> < <= > >= and their null-safe kin."""
        return self._comparison(node, type(node))

    def _comparison(self, node: exp.Expr, kind: type[exp.Expr]) -> str:
        left, right = self.text(node.this), self.text(node.args["expression"])
        if kind in _SWAPPED:
            return f"({_SWAPPED[kind]} {right} {left})"
        if kind in _STRAIGHT:
            return f"({_STRAIGHT[kind]} {left} {right})"
        left, right = sorted((left, right))
        return f"({kind.__name__} {left} {right})"

    def _repeatable(self, node: exp.Expr) -> str | None:
        """The text of an operand that may be written more than once."""
        if node.find(*_UNREPEATABLE):
            return None
        text = self.text(node)
        return text if len(text) <= _REPEATABLE else None

    def _in_parts(self, node: exp.In, negate: bool) -> list[str] | None:
        """`x IN (literals of one kind)` as equalities; None for every other IN."""
        values = node.expressions
        kinds = {value.args.get("is_string") if isinstance(value, exp.Literal) else None for value in values}
        if not values or len(values) > _EXPANDED or len(kinds) != 1 or None in kinds:
            return None
        left, name = self._repeatable(node.this), "NEQ" if negate else "EQ"
        if left is None:
            return None
        return [f"({name} {' '.join(sorted((left, self.text(value))))})" for value in values]

    def _in_whole(self, node: exp.In) -> str:
        if node.expressions and all(isinstance(value, exp.Literal) for value in node.expressions):
            values = sorted({self.text(value) for value in node.expressions})
            return f"(In {self.text(node.this)} {' '.join(values)})"
        query = node.args.get("query")
        rest = self.text(query) if query is not None else self.text(node.expressions)
        others = [v for key, v in node.args.items() if key not in ("this", "query", "expressions") and v]
        return f"(In {self.text(node.this)} {rest} {self.text(others)})"

    def _between_parts(self, node: exp.Between, negate: bool) -> list[str] | None:
        """`x BETWEEN literals of one kind` as two comparisons; None for every other BETWEEN."""
        low, high = node.args["low"], node.args["high"]
        plain = isinstance(low, exp.Literal) and isinstance(high, exp.Literal)
        if not plain or low.is_string != high.is_string or node.args.get("symmetric"):
            return None
        this = self._repeatable(node.this)
        if this is None:
            return None
        low_text, high_text = self.text(low), self.text(high)
        if negate:
            return [f"(lt {this} {low_text})", f"(lt {high_text} {this})"]
        return [f"(le {low_text} {this})", f"(le {this} {high_text})"]
