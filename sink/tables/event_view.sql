-- Each Kafka record once: redelivery and replay may write it again, the first row wins.
-- kafka_date is in the window so that a filter on it reads those partitions only.
SELECT *
FROM `${table}`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY kafka_date, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp
  ORDER BY stream_timestamp
) = 1
