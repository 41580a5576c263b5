-- Each dead letter once, as it was last given up (a replay may find another reason): by its Kafka position, and by message id, else hash, where it has none.
SELECT *
FROM `${table}`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY
    kafka_topic, kafka_partition, kafka_offset, kafka_timestamp_ms,
    IF(kafka_topic IS NULL, COALESCE(message_id, value_sha256), NULL)
  ORDER BY dead_lettered_at DESC
) = 1
