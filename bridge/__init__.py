"""The always-on bridge: raw Kafka records into Pub/Sub, at least once, knowing no schema."""
