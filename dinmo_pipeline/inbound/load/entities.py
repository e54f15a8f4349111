"""Entities: the rows of all feeds of one kind of thing under one another, by column name; nothing is merged between sources."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from dinmo_pipeline.engines.duckdb.tables import table_sql
from dinmo_pipeline.inbound.load.column_types import INSTANT, at_home, common_type
from dinmo_pipeline.inbound.load.feed_table import LINEAGE, FeedTable
from dinmo_pipeline.project.inbound_specs import FeedSpec
from dinmo_pipeline.project.table_refs import TableRef
from dinmo_pipeline.sql.quoting import quote_identifier, quote_literal

FEED = "_feed"


def show_entity(connection: duckdb.DuckDBPyConnection, entity: TableRef, feeds: Iterable[FeedSpec]) -> None:
    """Make the entity's view anew over those of its feeds that have a table; where types of a column differ, one that holds both."""
    tables = [(feed, FeedTable(connection, feed).columns()) for feed in feeds]
    tables = [(feed, columns) for feed, columns in tables if columns]
    types: dict[str, set[str]] = {}
    for _, columns in tables:
        for name, sql_type in columns.items():
            types.setdefault(name, set()).add(sql_type)
    common = {name: common_type(found) for name, found in types.items()}
    selects = [_select(feed, columns, common) for feed, columns in tables]
    if selects:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(entity.kind)}")
        connection.execute(f"CREATE OR REPLACE VIEW {table_sql(entity)} AS {' UNION ALL '.join(selects)}")


def _select(feed: FeedSpec, columns: dict[str, str], common: dict[str, str]) -> str:
    values = []
    for name, sql_type in common.items():
        column = quote_identifier(name)
        value = column if name in columns else "NULL"
        if columns.get(name) == "DATE" and sql_type == INSTANT:
            value = at_home(f"CAST({column} AS TIMESTAMP)", feed.timezone)
        values.append(f"CAST({value} AS {sql_type}) AS {column}")
    return f"SELECT {', '.join(values)}, {quote_literal(feed.name)} AS {FEED}, {', '.join(LINEAGE)} FROM {table_sql(feed.ref)}"
