"""Rows into BigQuery: grouped, each with an outcome of its own."""
