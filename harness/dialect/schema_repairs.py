"""The repairs of CREATE TABLE and INSERT, each by name, each applied only to a statement that DuckDB refused.

They take away what does not change the rows (storage engines, comments, display widths, plain indexes) and spell
what does in DuckDB's words (auto-increment as a sequence, types by their nearest kin). `SCHEMA_REPAIRS` is the whole
list, in the order they are tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

_TYPES = {
    "money": "decimal(19, 4)", "smallmoney": "decimal(10, 4)", "datetime2": "timestamp", "smalldatetime": "timestamp",
    "datetimeoffset": "timestamptz", "year": "int", "number": "double", "varchar2": "text", "nvarchar2": "text",
    "nvarchar": "text", "nchar": "text", "ntext": "text", "tinytext": "text", "mediumtext": "text", "longtext": "text",
    "clob": "text", "xml": "text", "tinyblob": "blob", "mediumblob": "blob", "longblob": "blob", "image": "blob",
    "binary": "blob", "varbinary": "blob", "mediumint": "int", "serial": "int", "bigserial": "bigint",
    "smallserial": "smallint", "rowversion": "blob", "uniqueidentifier": "uuid", "counter": "int", "byteint": "tinyint",
    "fixed": "decimal(18, 3)", "dec": "decimal(18, 3)", "binary_double": "double", "binary_float": "float",
    "float4": "float", "float8": "double", "currency": "decimal(19, 4)", "memo": "text", "jsonb": "json",
    "long": "bigint",
}  # fmt: skip
"""Names of types no DuckDB has -> the nearest one it has; any other unknown type becomes text."""
_WIDTHLESS = frozenset((
    "INT", "BIGINT", "SMALLINT", "TINYINT", "UINT", "UBIGINT", "USMALLINT", "UTINYINT", "DOUBLE", "FLOAT", "BOOLEAN",
    "TEXT", "VARCHAR", "DATE", "TIMESTAMP", "DATETIME", "TIMESTAMPTZ", "TIME",
))  # fmt: skip
_KNOWN = _WIDTHLESS | {
    "INT128", "DECIMAL", "CHAR", "TIMETZ", "TIMESTAMPLTZ", "INTERVAL", "UUID", "JSON", "BIT", "ENUM", "ARRAY", "LIST",
    "MAP", "STRUCT", "UINT128", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "BIGDECIMAL",
}  # fmt: skip
_DROPPED = (
    exp.CommentColumnConstraint, exp.CharacterSetColumnConstraint, exp.OnUpdateColumnConstraint,
    exp.CollateColumnConstraint, exp.EncodeColumnConstraint, exp.TitleColumnConstraint, exp.InvisibleColumnConstraint,
)  # fmt: skip
_COUNTING = (exp.AutoIncrementColumnConstraint, exp.GeneratedAsIdentityColumnConstraint)


@dataclass(slots=True)
class Definition:
    """A statement under repair."""

    tree: exp.Expr
    before: list[str] = field(default_factory=list)
    """DuckDB statements to run first (sequences)."""


@dataclass(frozen=True, slots=True)
class SchemaRepair:
    """One named repair; `apply` changes the definition in place and says whether it changed anything."""

    name: str
    apply: Callable[[Definition], bool]


def _columns(definition: Definition) -> list[exp.ColumnDef]:
    schema = definition.tree.this
    if not isinstance(definition.tree, exp.Create) or not isinstance(schema, exp.Schema):
        return []
    return [one for one in schema.expressions if isinstance(one, exp.ColumnDef)]


def _table_name(definition: Definition) -> str:
    table = definition.tree.find(exp.Table)
    return table.name if table is not None else ""


def table_option(definition: Definition) -> bool:
    """ENGINE=..., CHARSET, tablespaces and the like go: they say how rows are kept, not which."""
    properties = definition.tree.args.get("properties")
    if not isinstance(definition.tree, exp.Create) or properties is None:
        return False
    kept = [one for one in properties.expressions if isinstance(one, exp.TemporaryProperty)]
    definition.tree.set("properties", exp.Properties(expressions=kept) if kept else None)
    return len(kept) < len(properties.expressions)


def column_option(definition: Definition) -> bool:
    """COMMENT, CHARACTER SET, COLLATE and ON UPDATE of a column go."""
    changed = False
    for column in _columns(definition):
        kept = [one for one in column.args.get("constraints") or () if not isinstance(one.args.get("kind"), _DROPPED)]
        if len(kept) < len(column.args.get("constraints") or ()):
            column.set("constraints", kept)
            changed = True
    return changed


def index_clause(definition: Definition) -> bool:
    """INDEX(...) and KEY(...) within CREATE TABLE go: they change no answer."""
    schema = definition.tree.this
    if not isinstance(definition.tree, exp.Create) or not isinstance(schema, exp.Schema):
        return False
    kept = [one for one in schema.expressions if not _is_index(one)]
    changed = len(kept) < len(schema.expressions)
    schema.set("expressions", kept)
    return changed


def _is_index(node: exp.Expr) -> bool:
    if isinstance(node, exp.IndexColumnConstraint):
        return True
    if isinstance(node, exp.Anonymous):
        return str(node.this).upper() in ("INDEX", "KEY", "FULLTEXT", "SPATIAL")
    is_word = isinstance(node, exp.ColumnDef) and node.name.upper() in ("INDEX", "KEY", "FULLTEXT", "SPATIAL")
    return is_word and isinstance(node.args.get("kind"), exp.DataType) and _type_name(node.args["kind"]) not in _KNOWN


def auto_increment(definition: Definition) -> bool:
    """AUTO_INCREMENT, SERIAL and IDENTITY count with a sequence."""
    changed = False
    for column in _columns(definition):
        constraints = list(column.args.get("constraints") or ())
        counting = [one for one in constraints if isinstance(one.args.get("kind"), _COUNTING)]
        kind = column.args.get("kind")
        serial = isinstance(kind, exp.DataType) and _type_name(kind).endswith("SERIAL")
        if not counting and not serial:
            continue
        sequence = f"{_table_name(definition)}_{column.name}_seq".replace('"', "")
        definition.before.append(f'CREATE SEQUENCE IF NOT EXISTS "{sequence}"')
        default = exp.Anonymous(this="nextval", expressions=[exp.Literal.string(f'"{sequence}"')])
        constraints = [one for one in constraints if one not in counting]
        constraints.append(exp.ColumnConstraint(kind=exp.DefaultColumnConstraint(this=default)))
        column.set("constraints", constraints)
        if isinstance(kind, exp.DataType) and serial:
            column.set("kind", exp.DataType.build("bigint" if _type_name(kind) == "BIGSERIAL" else "int"))
        changed = True
    return changed


def _type_name(kind: exp.DataType) -> str:
    if kind.this == exp.DataType.Type.USERDEFINED:
        return str(kind.args.get("kind") or "").upper().strip('"')
    return str(getattr(kind.this, "value", kind.this)).upper()


def type_width(definition: Definition) -> bool:
    """INT(11), FLOAT(10, 2), VARCHAR(MAX), VARBINARY(10): the width goes."""
    changed = False
    for kind in definition.tree.find_all(exp.DataType):
        if (
            kind.expressions
            and _type_name(kind) in _WIDTHLESS | {"NVARCHAR", "NCHAR", "MEDIUMINT", "BLOB", "VARBINARY"}
            and not kind.args.get("nested")
        ):
            kind.set("expressions", [])
            changed = True
    return changed


def unknown_type(definition: Definition) -> bool:
    """A type DuckDB does not know becomes its nearest kin, else text; a column without a type is text."""
    changed = _untyped(definition)
    for column in _columns(definition):
        kind = column.args.get("kind")
        if kind is None:
            column.set("kind", exp.DataType.build("text"))
            changed = True
        elif isinstance(kind, exp.DataType) and not kind.args.get("nested") and _type_name(kind) not in _KNOWN:
            name = _type_name(kind).split("(")[0].lower()
            column.set("kind", exp.DataType.build(_TYPES.get(name, "blob" if "blob" in name else "text")))
            changed = True
    return changed


def _untyped(definition: Definition) -> bool:
    """Bare names in a CREATE TABLE without a query, which SQLite allows, made columns."""
    schema = definition.tree.this
    if not isinstance(definition.tree, exp.Create) or not isinstance(schema, exp.Schema) or definition.tree.expression:
        return False
    bare = [one for one in schema.expressions if isinstance(one, exp.Identifier)]
    for one in bare:
        one.replace(exp.ColumnDef(this=one.copy(), kind=exp.DataType.build("text")))
    return bool(bare)


def default_value(definition: Definition) -> bool:
    """A DEFAULT that DuckDB cannot compute goes, unless it counts."""
    changed = False
    for column in _columns(definition):
        constraints = list(column.args.get("constraints") or ())
        kept = [one for one in constraints if not _foreign_default(one)]
        if len(kept) < len(constraints):
            column.set("constraints", kept)
            changed = True
    return changed


def _foreign_default(constraint: exp.Expr) -> bool:
    kind = constraint.args.get("kind")
    if not isinstance(kind, exp.DefaultColumnConstraint):
        return False
    return isinstance(kind.this, (exp.Anonymous, exp.Column)) and str(kind.this.name).lower() != "nextval"


def foreign_key(definition: Definition) -> bool:
    """A reference to a table, or to a column without a key, that DuckDB cannot check goes."""
    schema = definition.tree.this
    changed = False
    if isinstance(definition.tree, exp.Create) and isinstance(schema, exp.Schema):
        kept = [
            one for one in schema.expressions if not isinstance(one, exp.ForeignKey) and not _names_foreign_key(one)
        ]
        changed = len(kept) < len(schema.expressions)
        schema.set("expressions", kept)
    for column in _columns(definition):
        constraints = list(column.args.get("constraints") or ())
        kept = [one for one in constraints if not isinstance(one.args.get("kind"), exp.Reference)]
        if len(kept) < len(constraints):
            column.set("constraints", kept)
            changed = True
    return changed


def _names_foreign_key(node: exp.Expr) -> bool:
    return isinstance(node, exp.Constraint) and any(isinstance(one, exp.ForeignKey) for one in node.expressions)


def repeated_column(definition: Definition) -> bool:
    """Of columns with one name the first stays."""
    schema = definition.tree.this
    names: set[str] = set()
    kept = []
    for one in schema.expressions if _columns(definition) else ():
        if isinstance(one, exp.ColumnDef):
            if one.name.lower() in names:
                continue
            names.add(one.name.lower())
        kept.append(one)
    changed = bool(kept) and len(kept) < len(schema.expressions)
    if changed:
        schema.set("expressions", kept)
    return changed


def repeated_key(definition: Definition) -> bool:
    """Of two PRIMARY KEY declarations the table's own stays, else the first column's."""
    schema = definition.tree.this
    own = [one for one in schema.expressions if isinstance(one, exp.PrimaryKey)] if _columns(definition) else []
    seen, changed = bool(own), False
    for column in _columns(definition):
        constraints = list(column.args.get("constraints") or ())
        kept = []
        for one in constraints:
            if isinstance(one.args.get("kind"), exp.PrimaryKeyColumnConstraint):
                if seen:
                    continue
                seen = True
            kept.append(one)
        if len(kept) < len(constraints):
            column.set("constraints", kept)
            changed = True
    return changed


def double_quoted_string(definition: Definition) -> bool:
    """A double-quoted word among the VALUES of an INSERT is a string."""
    if not isinstance(definition.tree, exp.Insert):
        return False
    values = definition.tree.expression
    changed = False
    for column in list(values.find_all(exp.Column)) if isinstance(values, exp.Values) else []:
        if isinstance(column.this, exp.Identifier) and column.this.args.get("quoted") and not column.table:
            column.replace(exp.Literal.string(column.name))
            changed = True
    return changed


SCHEMA_REPAIRS: tuple[SchemaRepair, ...] = (
    SchemaRepair("table_option", table_option),
    SchemaRepair("column_option", column_option),
    SchemaRepair("index_clause", index_clause),
    SchemaRepair("auto_increment", auto_increment),
    SchemaRepair("type_width", type_width),
    SchemaRepair("unknown_type", unknown_type),
    SchemaRepair("repeated_column", repeated_column),
    SchemaRepair("repeated_key", repeated_key),
    SchemaRepair("default_value", default_value),
    SchemaRepair("double_quoted_string", double_quoted_string),
    SchemaRepair("foreign_key", foreign_key),
)
