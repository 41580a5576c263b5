# With a key of your own, Google's agents must be able to use it; none of your identities needs to.

data "google_bigquery_default_service_account" "this" {
  count = var.kms_key == null ? 0 : 1
}

data "google_storage_project_service_account" "this" {
  count = var.kms_key == null ? 0 : 1
}

locals {
  # https://cloud.google.com/iam/docs/service-agents
  kms_agents = var.kms_key == null ? {} : {
    artifact_registry = "serviceAccount:service-${local.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    bigquery          = "serviceAccount:${data.google_bigquery_default_service_account.this[0].email}"
    functions         = "serviceAccount:service-${local.number}@gcf-admin-robot.iam.gserviceaccount.com"
    pubsub            = local.pubsub_agent
    run               = "serviceAccount:service-${local.number}@serverless-robot-prod.iam.gserviceaccount.com"
    secret_manager    = "serviceAccount:service-${local.number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
    storage           = "serviceAccount:${data.google_storage_project_service_account.this[0].email_address}"
  }
}

resource "google_kms_crypto_key_iam_member" "agent" {
  for_each = local.kms_agents

  crypto_key_id = var.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value

  depends_on = [google_project_service.this]
}
