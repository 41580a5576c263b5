# Metrics from log lines: a worker pool has no address that could be scraped. The fields are those of logs.py's lines.

locals {
  metric_prefix = replace(local.name, "-", "_")
  bridge_logs   = "resource.type=\"cloud_run_worker_pool\" AND resource.labels.worker_pool_name=\"${google_cloud_run_v2_worker_pool.bridge.name}\""
  function_logs = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${google_cloudfunctions2_function.decoder.name}\""
}

# A line a minute from each instance with partitions: the records that they have and it has not taken.
resource "google_logging_metric" "bridge_lag" {
  name            = "${local.metric_prefix}_bridge_lag"
  description     = "Records behind the end of the partitions, by instance, once a minute."
  filter          = "${local.bridge_logs} AND jsonPayload.message=\"status\" AND jsonPayload.lag:*"
  value_extractor = "EXTRACT(jsonPayload.lag)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "1"
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 2
      scale              = 1
    }
  }
}

# The same line has the reason while the instance holds records.
resource "google_logging_metric" "bridge_degraded" {
  name        = "${local.metric_prefix}_bridge_degraded"
  description = "Instances that hold records because Pub/Sub does not take them, once a minute."
  filter      = "${local.bridge_logs} AND jsonPayload.message=\"status\" AND jsonPayload.degraded:*"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
}

# And how often it has asked Pub/Sub again since it started.
resource "google_logging_metric" "bridge_retries" {
  name            = "${local.metric_prefix}_bridge_retries"
  description     = "Attempts after Pub/Sub did not take records, since the instance's start, by instance, once a minute."
  filter          = "${local.bridge_logs} AND jsonPayload.message=\"status\""
  value_extractor = "EXTRACT(jsonPayload.retries)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "1"
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 2
      scale              = 1
    }
  }
}

# How long Pub/Sub took; the line of an instance for which it acknowledged nothing lately does not say.
resource "google_logging_metric" "bridge_publish_ms" {
  name            = "${local.metric_prefix}_bridge_publish_ms"
  description     = "From a publish request to its acknowledgement: the mean of each instance, once a minute."
  filter          = "${local.bridge_logs} AND jsonPayload.message=\"status\" AND jsonPayload.publish_ms:*"
  value_extractor = "EXTRACT(jsonPayload.publish_ms)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "ms"
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 2
      scale              = 1
    }
  }
}

# Of instances with partitions: one without any has nothing to publish, however long.
resource "google_logging_metric" "bridge_since_acknowledged_s" {
  name            = "${local.metric_prefix}_bridge_since_acknowledged_s"
  description     = "Since Pub/Sub last acknowledged a publish, or the instance's start, by instance, once a minute."
  filter          = "${local.bridge_logs} AND jsonPayload.message=\"status\" AND jsonPayload.lag:*"
  value_extractor = "EXTRACT(jsonPayload.since_acknowledged_s)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "s"
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 2
      scale              = 1
    }
  }
}

# The offsets that are gone; none where a log was truncated or a topic made anew, so that the lines count too.
resource "google_logging_metric" "bridge_gap" {
  name            = "${local.metric_prefix}_bridge_gap"
  description     = "Offsets gone before the bridge read them, by gap."
  filter          = "${local.bridge_logs} AND jsonPayload.message:\"gap: \""
  value_extractor = "EXTRACT(jsonPayload.missing)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "1"
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 2
      scale              = 1
    }
  }
}

# A bridge that ends by itself says a last status line and is started again: the lines alone do not tell.
resource "google_logging_metric" "bridge_stopped" {
  name        = "${local.metric_prefix}_bridge_stopped"
  description = "The bridge stopped because of what Kafka said."
  filter      = "${local.bridge_logs} AND severity=\"CRITICAL\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
}

resource "google_logging_metric" "bridge_held" {
  name        = "${local.metric_prefix}_bridge_held"
  description = "The bridge holds records because Pub/Sub does not take them."
  filter      = "${local.bridge_logs} AND jsonPayload.message:\"Pub/Sub does not take records, holding\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
}

# A line an insert: how long the oldest of its rows took from Kafka's timestamp to BigQuery's answer.
resource "google_logging_metric" "kafka_to_bigquery" {
  name            = "${local.metric_prefix}_kafka_to_bigquery"
  description     = "From Kafka's timestamp to the row in BigQuery: the oldest row of each insert."
  filter          = "${local.function_logs} AND jsonPayload.message=\"inserted\" AND jsonPayload.kafka_to_bigquery_ms:*"
  value_extractor = "EXTRACT(jsonPayload.kafka_to_bigquery_ms)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "ms"
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 40
      growth_factor      = 2
      scale              = 1
    }
  }
}

resource "google_logging_metric" "dead_letters" {
  name             = "${local.metric_prefix}_dead_letters"
  description      = "Dead letters of the function and the bridge, by reason."
  filter           = "((${local.bridge_logs}) OR (${local.function_logs})) AND jsonPayload.message:\"dead letter: \""
  label_extractors = { reason = "EXTRACT(jsonPayload.reason)" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    labels {
      key         = "reason"
      value_type  = "STRING"
      description = "Reason code, see docs/operations.md."
    }
  }
}
