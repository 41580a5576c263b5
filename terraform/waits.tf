# A grant takes up to two minutes to be seen everywhere: what needs one as it is made waits for it.
# https://cloud.google.com/iam/docs/access-change-propagation

# Google's agents encrypt with the key as soon as a topic, a bucket, the secret … is made.
resource "time_sleep" "kms" {
  count = var.kms_key == null ? 0 : 1

  create_duration = "120s"

  depends_on = [google_kms_crypto_key_iam_member.agent]
}

# The function's first build pushes an image; Cloud Run makes pool and function only if they can read their secrets.
resource "time_sleep" "grants" {
  create_duration = "120s"

  depends_on = [
    google_artifact_registry_repository_iam_member.build,
    google_project_iam_member.build,
    google_project_iam_member.build_function_source,
    google_secret_manager_secret_iam_member.bridge,
    google_secret_manager_secret_iam_member.function,
    google_storage_bucket_iam_member.build,
    time_sleep.kms,
  ]
}
