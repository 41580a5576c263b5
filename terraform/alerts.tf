locals {
  runbook = "docs/operations.md, \"Rows are missing\""

  # Metrics in PromQL: https://cloud.google.com/monitoring/promql/promql-mapping. A policy that names a log-based metric
  # in a filter is refused for up to ten minutes after the metric was made; PromQL with disable_metric_validation is not.
  promql_dead_letters = "logging_googleapis_com:user_${google_logging_metric.dead_letters.name}"
  promql_degraded     = "logging_googleapis_com:user_${google_logging_metric.bridge_degraded.name}"
  promql_gap          = "logging_googleapis_com:user_${google_logging_metric.bridge_gap.name}"
  promql_held         = "logging_googleapis_com:user_${google_logging_metric.bridge_held.name}"
  promql_lag          = "logging_googleapis_com:user_${google_logging_metric.bridge_lag.name}"
  promql_stopped      = "logging_googleapis_com:user_${google_logging_metric.bridge_stopped.name}"

  # Each instance says its lag once a minute, so the mean of a minute is the sum over ten minutes by ten.
  lag_now    = "sum(increase(${local.promql_lag}_sum{monitored_resource=\"cloud_run_worker_pool\"}[10m])) / 10"
  lag_before = "sum(increase(${local.promql_lag}_sum{monitored_resource=\"cloud_run_worker_pool\"}[10m] offset 15m)) / 10"
}

resource "google_monitoring_alert_policy" "lag_growing" {
  display_name          = "${local.name}: lag growing"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels

  conditions {
    display_name = "over ${var.alerts.lag_records} records and more than a quarter of an hour ago"
    condition_prometheus_query_language {
      query                     = "(${local.lag_now}) > ${var.alerts.lag_records} and (${local.lag_now}) > (${local.lag_before})"
      duration                  = "600s"
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  documentation {
    content = "The bridge is slower than the producers. See its log and ${local.runbook}; more bridge.instances share the partitions."
  }
}

resource "google_monitoring_alert_policy" "oldest_unacked" {
  display_name          = "${local.name}: messages wait for the function"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels

  conditions {
    display_name = "oldest unacknowledged message over ${var.alerts.oldest_unacked_s} s"
    condition_threshold {
      filter          = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.push.name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.alerts.oldest_unacked_s
      duration        = "300s"
      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content = "Nothing is lost yet: after 100 attempts, some 15 hours, messages go to the dead-letter topic. See ${local.runbook}."
  }
}

resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "${local.name}: dead letters"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels

  conditions {
    display_name = "a dead letter was written"
    condition_prometheus_query_language {
      query = join(" or ", [for resource in ["cloud_run_revision", "cloud_run_worker_pool"] :
        "sum by (reason) (increase(${local.promql_dead_letters}{monitored_resource=\"${resource}\"}[5m])) > 0"
      ])
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  conditions {
    display_name = "the dead-letter topic's subscription holds messages"
    condition_threshold {
      filter          = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letter.name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content = "SELECT reason, COUNT(*) FROM ${local.dataset}.dead_letters_unique GROUP BY reason. docs/operations.md says what to do about each."
  }
}

resource "google_monitoring_alert_policy" "gap" {
  display_name          = "${local.name}: records were gone before they were read"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels

  # The gaps, not their offsets: of a truncated log none is known to be gone.
  conditions {
    display_name = "a committed offset was out of range"
    condition_prometheus_query_language {
      query                     = "sum(increase(${local.promql_gap}_count{monitored_resource=\"cloud_run_worker_pool\"}[5m])) > 0"
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  documentation {
    content = "The bridge's log has a line \"gap: \" for each partition with the offsets; bridge.on_out_of_range says whether it stopped there. See docs/operations.md, \"When an alert fires\"."
  }
}

resource "google_monitoring_alert_policy" "function_errors" {
  display_name          = "${local.name}: the function answers with errors"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels

  conditions {
    display_name = "over ${var.alerts.function_errors_per_s} answers 5xx a second"
    condition_threshold {
      filter          = "metric.type=\"run.googleapis.com/request_count\" AND resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${google_cloudfunctions2_function.decoder.name}\" AND metric.labels.response_code_class=\"5xx\""
      comparison      = "COMPARISON_GT"
      threshold_value = var.alerts.function_errors_per_s
      duration        = "300s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content = "503 means that BigQuery did not take rows; Pub/Sub delivers them again. The function's log names table and status. See ${local.runbook}."
  }
}

resource "google_monitoring_alert_policy" "bridge_not_running" {
  display_name          = "${local.name}: the bridge is not running"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = var.notification_channels
  enabled               = var.bridge.instances > 0

  # `absent` holds for a bridge that never ran too, which an absence of what was there before does not.
  conditions {
    display_name = "no status line for ten minutes"
    condition_prometheus_query_language {
      query                     = "absent_over_time(${local.promql_lag}_count{monitored_resource=\"cloud_run_worker_pool\"}[10m])"
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  conditions {
    display_name = "it holds records because Pub/Sub does not take them"
    condition_prometheus_query_language {
      query = join(" or ", [for metric in [local.promql_held, local.promql_degraded] :
        "sum(increase(${metric}{monitored_resource=\"cloud_run_worker_pool\"}[5m])) > 0"
      ])
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  conditions {
    display_name = "it stopped because of what Kafka said"
    condition_prometheus_query_language {
      query                     = "sum(increase(${local.promql_stopped}{monitored_resource=\"cloud_run_worker_pool\"}[5m])) > 0"
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  documentation {
    content = "Kafka keeps the records as long as its retention says. The pool's log has the reason: a wrong setting, brokers, Pub/Sub, or an offset out of range. See docs/operations.md, \"When an alert fires\"."
  }
}

resource "google_monitoring_alert_policy" "no_rows" {
  count = var.alerts.silence_minutes == 0 ? 0 : 1

  display_name          = "${local.name}: no rows for ${var.alerts.silence_minutes} minutes"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  enabled               = var.bridge.instances > 0

  conditions {
    display_name = "the function acknowledged nothing"
    condition_prometheus_query_language {
      query                     = "(sum(increase(pubsub_googleapis_com:subscription_push_request_count{monitored_resource=\"pubsub_subscription\",subscription_id=\"${google_pubsub_subscription.push.name}\",response_class=\"ack\"}[${var.alerts.silence_minutes}m])) or vector(0)) < 1"
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  documentation {
    content = "An acknowledged message is a row or a dead letter. Is anything produced? Look at the dashboard from left to right; see ${local.runbook}."
  }
}
