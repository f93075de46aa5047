"""The canonical text of an expression: operands sorted where order cannot matter, one spelling for each meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from sqlglot import exp

from harness.sqltext.logic import LogicWriter, unwrapped
from harness.sqltext.names import Scope, Tables, name_column, string_text

_QUOTED_KINDS = (exp.National, exp.RawString, exp.HexString, exp.BitString, exp.ByteString, exp.UnicodeString)


class ExpressionWriter(LogicWriter):
    """Writes the parts of one tree; `scope` is that of the SELECT being written."""

    scope: Scope | None = None
    select_now: exp.Select | None = None
    """The SELECT whose ORDER BY may name outputs."""

    def __init__(self, dialect: str, catalog: Tables | None, mask: bool) -> None:
        self.dialect, self.catalog, self.mask = dialect, catalog, mask
        self.common: dict[str, str] = {}

    def query(self, node: exp.Expr, named: bool) -> str:
        """A query, written by the class that knows queries."""
        raise NotImplementedError

    def select(self, node: exp.Select, named: bool, outputs: bool) -> str:
        """A SELECT, written by the class that knows queries."""
        raise NotImplementedError

    def table(self, node: exp.Expr) -> str:
        """A table outside FROM, written by the class that knows queries."""
        raise NotImplementedError

    def text(self, node: Any) -> str:
        """The canonical text of any part of a tree."""
        if not isinstance(node, exp.Expr):
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

    def _same(self, node: exp.Expr) -> str:
        return self.text(node.this)

    def _identifier(self, node: exp.Expr) -> str:
        return str(node.this).lower()

    def _literal(self, node: exp.Expr) -> str:
        if self.mask:
            return "?"
        return string_text(node.this) if node.args.get("is_string") else str(node.this).lower()

    def _masked(self, node: exp.Expr) -> str:
        return "?" if self.mask else type(node).__name__ + str(node.args.get("this"))

    def _column(self, node: exp.Expr) -> str:
        if isinstance(node.this, exp.Star):
            owner = self.scope.owners.get(node.text("table").lower(), "") if self.scope else ""
            return f"{owner or node.text('table').lower()}.*{self.text(node.this)}"
        text = name_column(node, self.scope, self.catalog, self.dialect)  # type: ignore[arg-type]
        return "?" if self.mask and text[0] == "'" else text

    def _symmetric(self, node: exp.Expr) -> str:
        left, right = sorted((self.text(node.this), self.text(node.args["expression"])))
        return f"({type(node).__name__} {left} {right})"

    def _sum(self, node: exp.Expr) -> str:
        if isinstance(node.this, exp.Array) or isinstance(node.args["expression"], exp.Array):
            return f"({type(node).__name__} {self.text(node.this)} {self.text(node.args['expression'])})"
        return self._symmetric(node)

    def _count(self, node: exp.Expr) -> str:
        inner = node.this
        if inner is None or isinstance(inner, (exp.Literal, exp.Star)):
            return "(Count *)"
        return f"(Count {self.text(inner)} {self.text(node.expressions)})"

    def _exists(self, node: exp.Expr) -> str:
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

    def _ordered(self, node: exp.Expr) -> str:
        return f"{self._sort_key(node.this)} {bool(node.args.get('desc'))} {bool(node.args.get('nulls_first'))}"

    def _sort_key(self, key: exp.Expr) -> str:
        """A sort key: an output alias or position stands for its expression."""
        select = self.select_now
        bare = unwrapped(key)
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
    exp.Not: ExpressionWriter.negation,
    exp.Add: ExpressionWriter._sum,
    exp.Mul: ExpressionWriter._symmetric,
    exp.Count: ExpressionWriter._count,
    exp.Exists: ExpressionWriter._exists,
    exp.Ordered: ExpressionWriter._ordered,
    **dict.fromkeys((exp.And, exp.Or, exp.In, exp.Between), ExpressionWriter.connected),
    **dict.fromkeys(
        (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
        ExpressionWriter.comparison,
    ),
}
