# The function's infrastructure. Its code is Cloud Build's: `gcloud functions deploy` in cloudbuild.yaml.

resource "google_service_account" "function" {
  account_id   = "${local.name}-function"
  display_name = "The function: inserts rows, ${var.env}"
  depends_on   = [google_project_service.this]
}

data "archive_file" "placeholder" {
  type        = "zip"
  source_dir  = "${path.module}/placeholder"
  excludes    = ["__pycache__"]
  output_path = "${path.module}/.terraform/placeholder.zip"
}

resource "google_storage_bucket_object" "placeholder" {
  bucket = google_storage_bucket.build.name
  name   = "placeholder/${data.archive_file.placeholder.output_sha256}.zip"
  source = data.archive_file.placeholder.output_path
}

resource "google_cloudfunctions2_function" "decoder" {
  name         = "${local.name}-decoder"
  location     = var.region
  description  = "Decodes Kafka records and inserts them into BigQuery."
  kms_key_name = var.kms_key

  build_config {
    runtime           = "python313"
    entry_point       = "handle"
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.images.id

    # Answers 503 to everything, so that nothing is acknowledged unwritten before the first build.
    source {
      storage_source {
        bucket = google_storage_bucket.build.name
        object = google_storage_bucket_object.placeholder.name
      }
    }
  }

  service_config {
    available_cpu                    = var.function.cpu
    available_memory                 = var.function.memory
    max_instance_request_concurrency = var.function.concurrency
    min_instance_count               = var.function.min_instances
    max_instance_count               = var.function.max_instances
    timeout_seconds                  = 90 # three times the insert's own, below the ack deadline
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"
    all_traffic_on_latest_revision   = true
    service_account_email            = google_service_account.function.email

    environment_variables = merge(
      {
        BIGQUERY_DATASET  = google_bigquery_dataset.events.dataset_id
        BIGQUERY_PROJECT  = var.project
        INSERT_MAX_BYTES  = format("%d", var.function.insert_max_bytes)
        INSERT_MAX_ROWS   = format("%d", var.function.insert_max_rows)
        MAX_WAITING_BYTES = format("%d", var.function.max_waiting_bytes)
      },
      var.schema_registry_url == null ? {} : { SCHEMA_REGISTRY_URL = var.schema_registry_url },
    )

    dynamic "secret_environment_variables" {
      for_each = google_secret_manager_secret.schema_registry
      content {
        key        = "SCHEMA_REGISTRY_CREDENTIALS"
        project_id = var.project
        secret     = secret_environment_variables.value.secret_id
        version    = "latest" # read when an instance starts
      }
    }
  }

  lifecycle {
    ignore_changes = [
      # Cloud Build owns the code: an apply must not put the placeholder back.
      build_config[0].source,
      # The platform counts its own environment variables among these at each build.
      build_config[0].environment_variables,
      # gcloud marks what it deployed with the label deployment-tool.
      labels["deployment-tool"],
    ]
  }

  depends_on = [google_secret_manager_secret_version.schema_registry_placeholder, time_sleep.grants]
}

# A binding, not a member: whoever else is given the role by hand loses it at the next apply.
resource "google_cloud_run_v2_service_iam_binding" "invoker" {
  name     = google_cloudfunctions2_function.decoder.name
  location = var.region
  role     = "roles/run.invoker"
  members  = [google_service_account.push.member]
}
