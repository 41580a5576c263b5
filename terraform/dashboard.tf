resource "google_monitoring_dashboard" "path" {
  dashboard_json = templatefile("${path.module}/dashboard.json.tftpl", {
    title        = "${local.name}: from Kafka to BigQuery"
    lag          = google_logging_metric.bridge_lag.name
    age          = google_logging_metric.kafka_to_bigquery.name
    gap          = google_logging_metric.bridge_gap.name
    degraded     = google_logging_metric.bridge_degraded.name
    retries      = google_logging_metric.bridge_retries.name
    publish_ms   = google_logging_metric.bridge_publish_ms.name
    since        = google_logging_metric.bridge_since_acknowledged_s.name
    stopped      = google_logging_metric.bridge_stopped.name
    dead_letters = google_logging_metric.dead_letters.name
    topic        = google_pubsub_topic.events.name
    subscription = google_pubsub_subscription.push.name
    dead_letter  = google_pubsub_subscription.dead_letter.name
    function     = google_cloudfunctions2_function.decoder.name
    dataset      = google_bigquery_dataset.events.dataset_id
  })
}
