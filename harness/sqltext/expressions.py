"""The canonical text of an expression: operands sorted where order cannot matter, one spelling for each meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from sqlglot import exp

from harness.sqltext.names import Scope, Tables, name_column, string_text

_SWAPPED = {exp.GT: "lt", exp.GTE: "le"}
_STRAIGHT = {exp.LT: "lt", exp.LTE: "le"}
_NEGATED: dict[type[exp.Expression], type[exp.Expression]] = {
    exp.EQ: exp.NEQ, exp.NEQ: exp.EQ, exp.GT: exp.LTE, exp.LTE: exp.GT, exp.GTE: exp.LT, exp.LT: exp.GTE,
    exp.NullSafeEQ: exp.NullSafeNEQ, exp.NullSafeNEQ: exp.NullSafeEQ,
}  # fmt: skip
_EXPANDED = 50
"""Longest IN list written out as equalities."""
_VOLATILE = (exp.Rand, exp.Uuid, exp.Anonymous)
_QUOTED_KINDS = (exp.National, exp.RawString, exp.HexString, exp.BitString, exp.ByteString, exp.UnicodeString)


class ExpressionWriter:
    """Writes the parts of one tree; `scope` is that of the SELECT being written."""

    scope: Scope | None = None
    select_now: exp.Select | None = None
    """The SELECT whose ORDER BY may name outputs."""

    def __init__(self, dialect: str, catalog: Tables | None, mask: bool) -> None:
        self.dialect, self.catalog, self.mask = dialect, catalog, mask
        self.common: dict[str, str] = {}

    def query(self, node: exp.Expression, named: bool) -> str:
        """A query, written by the class that knows queries."""
        raise NotImplementedError

    def select(self, node: exp.Select, named: bool, outputs: bool) -> str:
        """A SELECT, written by the class that knows queries."""
        raise NotImplementedError

    def table(self, node: exp.Expression) -> str:
        """A table outside FROM, written by the class that knows queries."""
        raise NotImplementedError

    def text(self, node: Any) -> str:
        """The canonical text of any part of a tree."""
        if not isinstance(node, exp.Expression):
            if isinstance(node, list):
                return "[" + ",".join([self.text(one) for one in node]) + "]"
            return node.lower() if isinstance(node, str) else repr(node)
        writer = self._WRITERS.get(type(node))
        if writer is not None:
            return writer(self, node)
        if isinstance(node, _QUOTED_KINDS):
            return "?" if self.mask else f"{type(node).__name__}{string_text(str(node.this))}"
        if isinstance(node, exp.Query):
            return self.query(node, named=isinstance(node.parent, (exp.Create, exp.CTE)))
        parts = [type(node).__name__]
        for key, value in node.args.items():
            if value is not None and value != [] and value is not False:
                parts.append(f"{key}={self.text(value)}")
        return "(" + " ".join(parts) + ")"

    def _same(self, node: exp.Expression) -> str:
        return self.text(node.this)

    def _identifier(self, node: exp.Expression) -> str:
        return str(node.this).lower()

    def _literal(self, node: exp.Expression) -> str:
        if self.mask:
            return "?"
        return string_text(node.this) if node.args.get("is_string") else str(node.this).lower()

    def _masked(self, node: exp.Expression) -> str:
        return "?" if self.mask else type(node).__name__ + str(node.args.get("this"))

    def _column(self, node: exp.Expression) -> str:
        if isinstance(node.this, exp.Star):
            owner = self.scope.owners.get(node.text("table").lower(), "") if self.scope else ""
            return f"{owner or node.text('table').lower()}.*{self.text(node.this)}"
        text = name_column(node, self.scope, self.catalog, self.dialect)  # type: ignore[arg-type]
        return "?" if self.mask and text[0] == "'" else text

    def _symmetric(self, node: exp.Expression) -> str:
        left, right = sorted((self.text(node.this), self.text(node.args["expression"])))
        return f"({type(node).__name__} {left} {right})"

    def _compared(self, node: exp.Expression) -> str:
        left, right = self.text(node.this), self.text(node.args["expression"])
        name = _STRAIGHT.get(type(node))
        if name is None:
            name, left, right = _SWAPPED[type(node)], right, left
        return f"({name} {left} {right})"

    def _sum(self, node: exp.Expression) -> str:
        if isinstance(node.this, exp.Array) or isinstance(node.args["expression"], exp.Array):
            return f"({type(node).__name__} {self.text(node.this)} {self.text(node.args['expression'])})"
        return self._symmetric(node)

    def _connected(self, node: exp.Expression) -> str:
        kind = type(node)
        return self._join(kind.__name__, self._operands(node, kind, False))

    def _join(self, name: str, operands: list[str]) -> str:
        operands = sorted(set(operands))
        return operands[0] if len(operands) == 1 else f"({name} {' '.join(operands)})"

    def _operands(self, node: exp.Expression, kind: type[exp.Expression], negate: bool) -> list[str]:
        """The texts under nested ANDs (or ORs) of one kind, without recursion along the chain."""
        found: list[str] = []
        stack = [node]
        prefix = f"({kind.__name__} "
        while stack:
            one = stack.pop()
            while isinstance(one, exp.Paren):
                one = one.this
            if type(one) is kind:
                stack += [one.this, one.args["expression"]]
                continue
            text = self._negated(one) if negate else self.text(one)
            expanded = self._expanded(one, negate, kind) if text.startswith(prefix) else None
            found += expanded if expanded is not None else [text]
        return found

    def _expanded(self, one: exp.Expression, negate: bool, kind: type[exp.Expression]) -> list[str] | None:
        """The operands of something that itself writes as AND or OR: an IN list, a BETWEEN, a negated connector."""
        if isinstance(one, exp.Not) and not negate:
            return self._expanded(self._bare(one.this), True, kind)
        if isinstance(one, (exp.And, exp.Or)):
            return self._operands(one, type(one), negate)
        if isinstance(one, exp.In):
            return self._in_parts(one, negate)
        if isinstance(one, exp.Between):
            return self._between_parts(one, negate)
        return None

    @staticmethod
    def _bare(node: exp.Expression) -> exp.Expression:
        while isinstance(node, exp.Paren):
            node = node.this
        return node

    def _not(self, node: exp.Expression) -> str:
        return self._negated(self._bare(node.this))

    def _negated(self, node: exp.Expression) -> str:
        """NOT node, moved inwards as far as three-valued logic lets it."""
        node = self._bare(node)
        other = _NEGATED.get(type(node))
        if other is not None:
            return self._flipped(node, other)
        if isinstance(node, (exp.And, exp.Or)):
            name = "Or" if isinstance(node, exp.And) else "And"
            return self._join(name, self._operands(node, type(node), True))
        if isinstance(node, exp.Not) and isinstance(self._bare(node.this), (exp.Predicate, exp.Connector, exp.Not)):
            return self.text(self._bare(node.this))
        if isinstance(node, exp.In):
            parts = self._in_parts(node, True)
            if parts is not None:
                return self._join("And", parts)
        if isinstance(node, exp.Between):
            parts = self._between_parts(node, True)
            if parts is not None:
                return self._join("Or", parts)
        return f"(Not {self.text(node)})"

    def _flipped(self, node: exp.Expression, other: type[exp.Expression]) -> str:
        left, right = self.text(node.this), self.text(node.args["expression"])
        if other in _SWAPPED:
            return f"({_SWAPPED[other]} {right} {left})"
        if other in _STRAIGHT:
            return f"({_STRAIGHT[other]} {left} {right})"
        left, right = sorted((left, right))
        return f"({other.__name__} {left} {right})"

    def _in_parts(self, node: exp.In, negate: bool) -> list[str] | None:
        """x IN (literals of one kind) as equalities; None for every other IN."""
        values = node.expressions
        kinds = {value.args.get("is_string") if isinstance(value, exp.Literal) else None for value in values}
        if not values or len(values) > _EXPANDED or len(kinds) != 1 or None in kinds or node.this.find(*_VOLATILE):
            return None
        left, name = self.text(node.this), "NEQ" if negate else "EQ"
        return [f"({name} {' '.join(sorted((left, self.text(value))))})" for value in values]

    def _in(self, node: exp.Expression) -> str:
        parts = self._in_parts(node, False)  # type: ignore[arg-type]
        if parts is not None:
            return self._join("Or", parts)
        if node.expressions and all(isinstance(value, exp.Literal) for value in node.expressions):
            values = sorted({self.text(value) for value in node.expressions})
            return f"(In {self.text(node.this)} {' '.join(values)})"
        query = node.args.get("query")
        rest = self.text(query) if query is not None else self.text(node.expressions)
        others = {
            key: value for key, value in node.args.items() if key not in ("this", "query", "expressions") and value
        }
        return f"(In {self.text(node.this)} {rest} {self.text(list(others.values()))})"

    def _between_parts(self, node: exp.Between, negate: bool) -> list[str] | None:
        low, high = node.args["low"], node.args["high"]
        plain = isinstance(low, exp.Literal) and isinstance(high, exp.Literal)
        if not plain or low.is_string != high.is_string or node.args.get("symmetric") or node.this.find(*_VOLATILE):
            return None
        this, low_text, high_text = self.text(node.this), self.text(low), self.text(high)
        if negate:
            return [f"(lt {this} {low_text})", f"(lt {high_text} {this})"]
        return [f"(le {low_text} {this})", f"(le {this} {high_text})"]

    def _between(self, node: exp.Expression) -> str:
        parts = self._between_parts(node, False)  # type: ignore[arg-type]
        if parts is not None:
            return self._join("And", parts)
        low, high = self.text(node.args["low"]), self.text(node.args["high"])
        return f"(Between {self.text(node.this)} {low} {high} {node.args.get('symmetric')})"

    def _count(self, node: exp.Expression) -> str:
        inner = node.this
        if inner is None or isinstance(inner, (exp.Literal, exp.Star)):
            return "(Count *)"
        return f"(Count {self.text(inner)} {self.text(node.expressions)})"

    def _exists(self, node: exp.Expression) -> str:
        inner = node.this
        shaped = any(
            inner.args.get(key) for key in ("group", "having", "limit", "offset", "distinct", "qualify", "with_")
        )
        if (
            isinstance(inner, exp.Select)
            and not shaped
            and not any(one.find(exp.AggFunc, exp.Window, exp.Anonymous) for one in inner.expressions)
        ):
            return f"(Exists {self.select(inner, named=False, outputs=False)})"
        return f"(Exists {self.text(inner)})"

    def _ordered(self, node: exp.Expression) -> str:
        return f"{self._sort_key(node.this)} {bool(node.args.get('desc'))} {bool(node.args.get('nulls_first'))}"

    def _sort_key(self, key: exp.Expression) -> str:
        """A sort key: an output alias or position stands for its expression."""
        select = self.select_now
        bare = self._bare(key)
        if select is not None:
            if isinstance(bare, exp.Literal) and not bare.is_string and bare.name.isdigit():
                position = int(bare.name)
                before = select.expressions[:position]
                if 0 < position <= len(select.expressions) and not any(one.is_star for one in before):
                    return self.text(before[-1].unalias())
                return f"#{position}"
            if isinstance(bare, exp.Column) and not bare.table and self.scope is not None:
                same = [
                    one
                    for one in select.expressions
                    if isinstance(one, exp.Alias) and one.alias.lower() == bare.name.lower()
                ]
                if len(same) == 1:
                    return self.text(same[0].this)
        return self.text(key)

    _WRITERS: ClassVar[Mapping[type, Callable[[Any, Any], str]]] = {}


ExpressionWriter._WRITERS = {
    exp.Paren: ExpressionWriter._same,
    exp.Identifier: ExpressionWriter._identifier,
    exp.Literal: ExpressionWriter._literal,
    exp.Boolean: ExpressionWriter._masked,
    exp.Column: ExpressionWriter._column,
    exp.Table: lambda writer, node: writer.table(node),
    exp.And: ExpressionWriter._connected,
    exp.Or: ExpressionWriter._connected,
    exp.Not: ExpressionWriter._not,
    exp.EQ: ExpressionWriter._symmetric,
    exp.NEQ: ExpressionWriter._symmetric,
    exp.NullSafeEQ: ExpressionWriter._symmetric,
    exp.NullSafeNEQ: ExpressionWriter._symmetric,
    exp.Add: ExpressionWriter._sum,
    exp.Mul: ExpressionWriter._symmetric,
    exp.GT: ExpressionWriter._compared,
    exp.GTE: ExpressionWriter._compared,
    exp.LT: ExpressionWriter._compared,
    exp.LTE: ExpressionWriter._compared,
    exp.In: ExpressionWriter._in,
    exp.Between: ExpressionWriter._between,
    exp.Count: ExpressionWriter._count,
    exp.Exists: ExpressionWriter._exists,
    exp.Ordered: ExpressionWriter._ordered,
}
