"""SQL as a person types it, with the dataset put before the tables that have none."""

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError


def qualify(sql: str, dataset: str) -> str:
    """Return the SQL with `dataset.` before each table, view or INFORMATION_SCHEMA that has no dataset.

    The rest stays as it was typed. Names of a WITH clause are no tables where they can be seen. SQL that
    cannot be parsed is returned as it is: BigQuery says what is wrong.

    A query's `default_dataset` would do the same, but the emulator writes the whole SQL again for it, and
    INFORMATION_SCHEMA in a way that it cannot read.
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
    """Return whether a WITH clause that the table can see defines its name."""
    inner: exp.Expr = table
    while (outer := inner.parent) is not None:
        visible: list[exp.Expr] = []
        if isinstance(outer, exp.With):
            # In a definition: it sees those before it, and with RECURSIVE all of them.
            place = next(n for n, each in enumerate(outer.expressions) if each is inner)
            visible = outer.expressions if outer.recursive else outer.expressions[:place]
        elif isinstance(clause := outer.args.get("with_"), exp.With) and clause is not inner:
            visible = clause.expressions
        if table.name.lower() in {each.alias_or_name.lower() for each in visible}:
            return True
        inner = outer
    return False
