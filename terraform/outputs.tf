output "bridge" {
  description = "Name of the worker pool that reads Kafka."
  value       = google_cloud_run_v2_worker_pool.bridge.name
}

output "bucket" {
  description = "Bucket of sources and bills of material: --gcs-source-staging-dir of gcloud builds submit."
  value       = google_storage_bucket.build.name
}

output "build_service_account" {
  description = "Identity of Cloud Build: --service-account of gcloud builds submit."
  value       = google_service_account.build.id
}

output "dashboard" {
  description = "Address of the dashboard."
  value       = "https://console.cloud.google.com/monitoring/dashboards/builder/${basename(google_monitoring_dashboard.path.id)}?project=${var.project}"
}

output "dataset" {
  description = "Dataset of the tables."
  value       = google_bigquery_dataset.events.dataset_id
}

output "dead_letter_subscription" {
  description = "Subscription that keeps what no row could hold, and the bridge's notices."
  value       = google_pubsub_subscription.dead_letter.id
}

output "function" {
  description = "Name of the function."
  value       = google_cloudfunctions2_function.decoder.name
}

output "images" {
  description = "Address of the image repository."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "kafka_properties_secret" {
  description = "Secret that librdkafka's properties file is a version of: gcloud secrets versions add."
  value       = google_secret_manager_secret.kafka.secret_id
}

output "schema_registry_secret" {
  description = "Secret that the schema registry's credentials are a version of: gcloud secrets versions add. null without `schema_registry_credentials`."
  value       = one(google_secret_manager_secret.schema_registry[*].secret_id)
}

output "topic" {
  description = "Pub/Sub topic that the bridge publishes to."
  value       = google_pubsub_topic.events.id
}

output "views" {
  description = "What to read: for each stream the view that shows each record once."
  value       = { for name, stream in local.streams : name => "${var.project}.${local.dataset}.${google_bigquery_table.unique[stream.table].table_id}" }
}
