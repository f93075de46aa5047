"""The canonical text of a query: where its rows come from, which are kept, how they are grouped, sorted and shown."""

from __future__ import annotations

from sqlglot import exp

from harness.sqltext.expressions import ExpressionWriter
from harness.sqltext.logic import unwrapped
from harness.sqltext.names import open_scope, sources_of

_ANY_ORDER = (exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance)
"""Aggregates that give the same value whatever the order of their rows."""


class QueryWriter(ExpressionWriter):
    """Writes whole statements."""

    _held = 0
    """Above zero: some query around this one cuts its rows without sorting them, so their order is part of it."""

    def statement(self, tree: exp.Expr) -> str:
        """The whole statement; a query's own output names do not count, those of what it creates do."""
        return self.query(tree, named=False) if isinstance(tree, exp.Query) else self.text(tree)

    def query(self, node: exp.Expr, named: bool) -> str:
        """A query; `named`: its output names can be referred to, so they are part of it."""
        if isinstance(node, exp.Subquery):
            extra = [key for key, value in node.args.items() if value and key not in ("this", "alias")]
            if not extra:
                return self.query(node.this, named or bool(node.args.get("alias")))
            return "(Subquery " + self.query(node.this, True) + self._rest(node, ("this", "alias")) + ")"
        before = dict(self.common)
        clause = node.args.get("with_")
        prefix = self._with(clause) if clause is not None else ""
        try:
            if isinstance(node, exp.Select):
                return prefix + self.select(node, named, outputs=True)
            if isinstance(node, exp.SetOperation):
                return prefix + self._set_operation(node, named)
            return prefix + "(" + type(node).__name__ + self._rest(node, ("with_",)) + ")"
        finally:
            self.common = before

    def _with(self, clause: exp.Expr) -> str:
        parts = []
        for index, table in enumerate(clause.expressions):
            label = f"cte{len(self.common)}_{index}"
            if clause.args.get("recursive"):
                self.common[table.alias.lower()] = label
            outer, self.scope = self.scope, None
            columns = self.text(table.args["alias"].args.get("columns") or [])
            parts.append(f"{label}{columns}={self.query(table.this, True)}{self._rest(table, ('this', 'alias'))}")
            self.scope = outer
            self.common[table.alias.lower()] = label
        return f"(With {bool(clause.args.get('recursive'))} {' '.join(parts)}) "

    def _set_operation(self, node: exp.Expr, named: bool) -> str:
        tail = self._rest(node, ("this", "expression", "with_", "distinct"), no_select=True)
        named = named or bool(tail)
        sides = [self.query(node.this, named), self.query(node.args["expression"], named)]
        if not tail and not named and not self._held and isinstance(node, (exp.Union, exp.Intersect)):
            sides.sort()
        return f"({type(node).__name__} {bool(node.args.get('distinct'))} {sides[0]} {sides[1]}{tail})"

    def _rest(self, node: exp.Expr, done: tuple[str, ...], no_select: bool = False) -> str:
        previous = self.select_now
        if no_select:
            self.select_now = None
        parts = [f" {key}={self.text(value)}" for key, value in node.args.items() if key not in done and value]
        self.select_now = previous
        return "".join(parts)

    def select(self, node: exp.Select, named: bool, outputs: bool) -> str:
        """A SELECT in a scope of its own; `outputs`: what it shows counts (not so under EXISTS)."""
        outer, previous = self.scope, self.select_now
        visible = outer if not isinstance(node.parent, (exp.CTE, exp.Create)) and not self._is_derived(node) else None
        self.scope, self.select_now = open_scope(node, visible, self.common), node
        try:
            return self._select_parts(node, named, outputs)
        finally:
            self.scope, self.select_now = outer, previous

    @staticmethod
    def _is_derived(node: exp.Expr) -> bool:
        at = node.parent
        while isinstance(at, (exp.Subquery, exp.SetOperation)):
            if isinstance(at.parent, (exp.From, exp.Join)):
                return not isinstance(at.parent.this, exp.Lateral)
            at = at.parent
        return False

    def _select_parts(self, node: exp.Select, named: bool, outputs: bool) -> str:
        args, scope = node.args, self.scope
        assert scope is not None
        group, having, order = args.get("group"), args.get("having"), args.get("order")
        unordered = args.get("limit") is not None and order is None
        self._held += unordered
        movable = scope.all_plain and not self._held and outputs and self._any_order(node)
        sources, conditions = self._from(node, movable)
        parts = [f"from={sources}"]
        if conditions:
            parts.append("where=" + self.joined("And", conditions))
        if group is not None:
            parts.append(self._group(group, node))
        if having is not None:
            parts.append("having=" + self.joined("And", self.conjuncts(having.this)))
        if order is not None:
            parts.append("order=" + ",".join([self._ordered(one) for one in order.expressions]))
        for key, value in args.items():
            if value and key not in ("expressions", "from_", "joins", "where", "group", "having", "order", "with_"):
                if key == "offset" and value.expression.name == "0":
                    continue
                parts.append(f"{key}={self.text(value)}")
        if outputs:
            parts.append("select=" + self._outputs(node.expressions, named))
        self._held -= unordered
        return "(Select " + " ".join(parts) + ")"

    @staticmethod
    def _any_order(node: exp.Select) -> bool:
        """Nothing shown depends on the order of the rows or of the tables."""
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on"):
            return False
        for one in node.expressions:
            if isinstance(one, exp.Star):
                return False
            for found in one.find_all(exp.AggFunc, exp.Window, exp.Anonymous):
                if not isinstance(found, _ANY_ORDER):
                    return False
        return True

    def _outputs(self, expressions: list[exp.Expr], named: bool) -> str:
        assert self.scope is not None
        texts = [self.text(one.this if isinstance(one, exp.Alias) else one) for one in expressions]
        used = self.scope.used_aliases
        for index, one in enumerate(expressions):
            name = one.alias_or_name.lower()
            if named or (isinstance(one, exp.Alias) and name in used):
                texts[index] += f" as {name}"
        return ",".join(texts)

    def _group(self, group: exp.Expr, select: exp.Select) -> str:
        keys = []
        for one in group.expressions:
            bare = unwrapped(one)
            if isinstance(bare, exp.Literal) and not bare.is_string and bare.name.isdigit():
                position = int(bare.name)
                before = select.expressions[:position]
                known = 0 < position <= len(select.expressions) and not any(output.is_star for output in before)
                keys.append(self.text(before[-1].unalias()) if known else f"#{position}")
            else:
                keys.append(self.text(one))
        return "group=" + ",".join(sorted(set(keys))) + self._rest(group, ("expressions",))

    def _from(self, node: exp.Select, movable: bool) -> tuple[str, list[str]]:
        """(the sources, the conditions of WHERE and of joins that are only products with conditions)."""
        where, joins = node.args.get("where"), node.args.get("joins") or []
        conditions = self.conjuncts(where.this) if where is not None else []
        start = node.args.get("from_")
        if start is None:
            return "", conditions
        inner = all(
            not any(join.args.get(key) for key in ("side", "method", "using", "match_condition"))
            and str(join.args.get("kind") or "").upper() in ("", "INNER", "CROSS")
            for join in joins
        )
        sources = [self._source(one, index) for index, one in enumerate(sources_of(node))]
        if inner:
            for join in joins:
                on = join.args.get("on")
                conditions += self.conjuncts(on) if on is not None else []
            return " ".join(sorted(sources) if movable else sources), conditions
        texts = [sources[0]]
        for join, source in zip(joins, sources[1:], strict=True):
            on = join.args.get("on")
            condition = self.joined("And", self.conjuncts(on)) if on is not None else ""
            how = [str(join.args.get(key) or "").upper() for key in ("method", "side", "kind")]
            how = [word for word in how if word not in ("INNER", "OUTER", "")] or ["INNER"]
            rest = self._rest(join, ("this", "on", "method", "side", "kind"))
            texts.append(f"({' '.join(how)} {source} {condition}{rest})")
        return " ".join(texts), conditions

    def _source(self, node: exp.Expr, index: int) -> str:
        if isinstance(node, exp.Table):
            name = node.name.lower()
            table = self.common.get(name, name)
            place = ".".join(part.lower() for part in (node.catalog, node.db) if part)
            return (
                (f"{place}." if place else "")
                + (table or self.text(node.this))
                + self._rest(node, ("this", "alias", "db", "catalog"))
            )
        columns = node.args["alias"].args.get("columns") if node.args.get("alias") else None
        return f"q{index}{self.text(columns or [])}:{self.text(node)}"

    def table(self, node: exp.Expr) -> str:
        """A table outside FROM: what a statement writes to."""
        return self._source(node, 0)
