"""Tables that have no dataset get it; nothing else of the SQL changes."""

import pytest

from local.sql import qualify


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("SELECT a FROM t", "SELECT a FROM d.t"),
        ("SELECT  a -- why\nFROM `t`", "SELECT  a -- why\nFROM d.`t`"),
        ("SELECT t.a FROM t JOIN u AS v USING (a)", "SELECT t.a FROM d.t JOIN d.u AS v USING (a)"),
        ("SELECT 1 FROM t; SELECT 2 FROM u", "SELECT 1 FROM d.t; SELECT 2 FROM d.u"),
        (
            "SELECT 1 FROM INFORMATION_SCHEMA.COLUMNS",
            "SELECT 1 FROM d.INFORMATION_SCHEMA.COLUMNS",
        ),
        ("INSERT INTO t (a) SELECT a FROM u", "INSERT INTO d.t (a) SELECT a FROM d.u"),
        ("UPDATE t SET a = 1 WHERE t.b", "UPDATE d.t SET a = 1 WHERE t.b"),
        (
            "DELETE FROM t WHERE a IN (SELECT b FROM u)",
            "DELETE FROM d.t WHERE a IN (SELECT b FROM d.u)",
        ),
        (
            "MERGE t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
            "MERGE d.t USING d.u ON t.a = u.a WHEN MATCHED THEN DELETE",
        ),
        ("CREATE TABLE t AS SELECT * FROM u", "CREATE TABLE d.t AS SELECT * FROM d.u"),
        ("DROP TABLE t", "DROP TABLE d.t"),
        (
            "SELECT (SELECT h.value FROM UNNEST(v.headers) AS h) FROM t AS v",
            "SELECT (SELECT h.value FROM UNNEST(v.headers) AS h) FROM d.t AS v",
        ),
    ],
)
def test_a_table_without_a_dataset_gets_it(typed: str, sent: str) -> None:
    """Wherever a table, a view or INFORMATION_SCHEMA stands, the dataset is put before it."""
    assert qualify(typed, "d") == sent


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("WITH c AS (SELECT 1) SELECT * FROM C", "WITH c AS (SELECT 1) SELECT * FROM C"),
        ("WITH t AS (SELECT * FROM t) SELECT * FROM t", "WITH t AS (SELECT * FROM d.t) SELECT * FROM t"),
        (
            "WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b",
            "WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b",
        ),
        (
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
        ),
        (
            "SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c), c",
            "SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c), d.c",
        ),
    ],
)
def test_a_name_of_a_with_clause_is_no_table(typed: str, sent: str) -> None:
    """What a WITH clause defines stays as it is where it can be seen, and only there."""
    assert qualify(typed, "d") == sent


@pytest.mark.parametrize(
    "typed",
    [
        "SELECT * FROM other.t",
        "SELECT * FROM `project.other.t`",
        "SELECT * FROM t AS v, v.headers",
        "CREATE TEMP FUNCTION f(x INT64) AS (x)",
        "SELEC 1 FROM t",
        "SELECT 'unclosed FROM t",
        "",
    ],
)
def test_the_rest_is_sent_as_typed(typed: str) -> None:
    """A name that has its dataset, a function, and SQL that cannot be parsed are left alone."""
    assert qualify(typed, "d") == typed.replace("FROM t AS v", "FROM d.t AS v")
