"""From a Kafka record to a table's row: the catalogue of event types, Avro, JSON, rows."""
