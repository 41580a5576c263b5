"""Completes table names in SQL with the dataset."""

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError


def qualify(sql: str, dataset: str) -> str:
    """Return the SQL with `dataset.` before each table, view or INFORMATION_SCHEMA that has no dataset.

    Everything else stays as typed. A name that a visible WITH clause defines is not a table. SQL that cannot
    be parsed is returned unchanged, and BigQuery reports what is wrong with it.

    The API's `default_dataset` is meant for this, but for it the emulator rewrites the whole query, and
    quotes INFORMATION_SCHEMA in a way that it then cannot read.
    """
    try:
        statements = sqlglot.parse(sql, read="bigquery")
    except SqlglotError:
        return sql
    starts = [
        table.this.meta["start"]
        for statement in statements
        if statement is not None
        for table in statement.find_all(exp.Table)
        if _lacks_dataset(table)
    ]
    for start in sorted(starts, reverse=True):
        sql = f"{sql[:start]}{dataset}.{sql[start:]}"
    return sql


def _lacks_dataset(table: exp.Table) -> bool:
    name = table.this
    return (
        isinstance(name, exp.Identifier)
        and not table.db
        and "start" in name.meta
        and not isinstance(table.parent, exp.UserDefinedFunction)
        and not _is_from_with(table)
    )


def _is_from_with(table: exp.Table) -> bool:
    """Return whether a WITH clause that is visible to the table defines its name."""
    inner: exp.Expr = table
    while (outer := inner.parent) is not None:
        visible: list[exp.Expr] = []
        if isinstance(outer, exp.With):
            # Inside a definition: the ones before it are visible, with RECURSIVE all of them.
            place = next(n for n, each in enumerate(outer.expressions) if each is inner)
            visible = outer.expressions if outer.recursive else outer.expressions[:place]
        elif isinstance(clause := outer.args.get("with_"), exp.With) and clause is not inner:
            visible = clause.expressions
        if table.name.lower() in {each.alias_or_name.lower() for each in visible}:
            return True
        inner = outer
    return False
