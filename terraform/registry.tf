# Credentials of the schema registry, where it asks for them: user:password, or a bearer token. Their content is not
# Terraform's, see docs/deploy.md.
resource "google_secret_manager_secret" "schema_registry" {
  count = var.schema_registry_credentials ? 1 : 0

  secret_id = "${local.name}-schema-registry"

  replication {
    user_managed {
      replicas {
        location = var.region

        dynamic "customer_managed_encryption" {
          for_each = var.kms_key[*]
          content {
            kms_key_name = customer_managed_encryption.value
          }
        }
      }
    }
  }

  depends_on = [google_project_service.this, time_sleep.kms]
}

# A function cannot be made with a secret that has no version. This one is no secret; with it alone the registry lets
# nobody in, and the records that need it wait.
resource "google_secret_manager_secret_version" "schema_registry_placeholder" {
  count = var.schema_registry_credentials ? 1 : 0

  secret                 = google_secret_manager_secret.schema_registry[0].id
  secret_data_wo         = "none-yet"
  secret_data_wo_version = "1"
}

resource "google_secret_manager_secret_iam_member" "function" {
  count = var.schema_registry_credentials ? 1 : 0

  secret_id = google_secret_manager_secret.schema_registry[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function.member
}
