# Cloud Build: who builds and rolls out the code, where images and sources lie, and the trigger.

resource "google_service_account" "build" {
  account_id   = "${local.name}-build"
  display_name = "Cloud Build: builds and rolls out the code, ${var.env}"
  depends_on   = [google_project_service.this]
}

resource "google_artifact_registry_repository" "images" {
  repository_id = "${local.name}-images"
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the bridge and the function."
  kms_key_name  = var.kms_key

  # Ten to roll back to.
  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "7776000s" # 90 days
    }
  }

  depends_on = [google_project_service.this, time_sleep.kms]
}

# The placeholder, the sources of `gcloud builds submit`, and the image's bills of material.
resource "google_storage_bucket" "build" {
  name                        = "${var.project}-${local.name}-build"
  location                    = var.region
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 30
    }
  }

  # What `gcloud builds submit` uploaded; builds take minutes.
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = 30
      matches_prefix = ["source/"]
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key[*]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_project_service.this, time_sleep.kms]
}

resource "google_storage_bucket_iam_member" "build" {
  for_each = toset(["roles/storage.objectCreator", "roles/storage.objectViewer"])

  bucket = google_storage_bucket.build.name
  role   = each.key
  member = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "build" {
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

# None of these reads or writes data, but for the source of functions, by the condition.
resource "google_project_iam_member" "build" {
  for_each = toset([
    "roles/bigquery.jobUser",         # the smoke test asks for its rows
    "roles/cloudfunctions.developer", # deploys the function
    "roles/logging.logWriter",
    "roles/run.viewer", # follows the roll-out
  ])

  project = var.project
  role    = each.key
  member  = google_service_account.build.member
}

# Google keeps the uploaded source of functions there; the bucket is made with the first function.
# https://cloud.google.com/functions/docs/securing/build-custom-sa
resource "google_project_iam_member" "build_function_source" {
  project = var.project
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  condition {
    title      = "sources of functions"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${local.number}-${var.region}\")"
  }
}

resource "google_cloud_run_v2_worker_pool_iam_member" "build" {
  name     = google_cloud_run_v2_worker_pool.bridge.name
  location = var.region
  role     = "roles/run.developer"
  member   = google_service_account.build.member
}

# What is rolled out runs as these.
resource "google_service_account_iam_member" "build_acts_as" {
  for_each = {
    bridge   = google_service_account.bridge.name
    build    = google_service_account.build.name
    function = google_service_account.function.name
  }

  service_account_id = each.value
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.build.member
}

# The smoke test: one event of each stream in, and its row found.
resource "google_pubsub_topic_iam_member" "build" {
  topic  = google_pubsub_topic.events.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.build.member
}

resource "google_bigquery_dataset_iam_member" "build" {
  dataset_id = google_bigquery_dataset.events.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = google_service_account.build.member
}

# `terraform apply` in a build runs as an identity of its own, which this module does not make.
resource "google_service_account_iam_member" "build_as_terraform" {
  count = var.terraform_service_account == null ? 0 : 1

  service_account_id = "projects/-/serviceAccounts/${var.terraform_service_account}"
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.build.member
}

resource "google_cloudbuild_trigger" "push" {
  count = var.trigger == null ? 0 : 1

  name            = "${local.name}-push"
  location        = var.region
  description     = "Tests, builds and rolls out what is pushed."
  filename        = "cloudbuild.yaml"
  service_account = google_service_account.build.id

  repository_event_config {
    repository = var.trigger.repository
    push {
      branch = var.trigger.branch
    }
  }

  approval_config {
    approval_required = var.trigger.approval_required
  }

  substitutions = {
    _ENV                       = var.env
    _REGION                    = var.region
    _TERRAFORM_SERVICE_ACCOUNT = var.terraform_service_account == null ? "" : var.terraform_service_account
    _STATE_BUCKET              = var.state_bucket == null ? "" : var.state_bucket
    _BUILDER_IMAGE             = var.trigger.builder_image
    _RUNTIME_IMAGE             = var.trigger.runtime_image
  }
}
