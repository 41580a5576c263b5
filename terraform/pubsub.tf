locals {
  retention = "${var.retention_days * 86400}s"
}

resource "google_pubsub_topic" "events" {
  name         = "${local.name}-events"
  kms_key_name = var.kms_key

  # Kept when acknowledged too, so that the subscription can seek back.
  message_retention_duration = local.retention

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.this, time_sleep.kms]
}

resource "google_pubsub_topic" "dead_letter" {
  name         = "${local.name}-dead-letter"
  kms_key_name = var.kms_key

  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }

  depends_on = [google_project_service.this, time_sleep.kms]
}

# Without a subscription the topic would lose what it gets.
resource "google_pubsub_subscription" "dead_letter" {
  name                       = "${local.name}-dead-letter"
  topic                      = google_pubsub_topic.dead_letter.id
  ack_deadline_seconds       = 600
  message_retention_duration = local.retention

  expiration_policy {
    ttl = "" # never
  }
}

resource "google_service_account" "push" {
  account_id   = "${local.name}-push"
  display_name = "Pub/Sub's pushes to the function, ${var.env}"
  depends_on   = [google_project_service.this]
}

resource "google_pubsub_subscription" "push" {
  name                       = "${local.name}-push"
  topic                      = google_pubsub_topic.events.id
  message_retention_duration = local.retention

  # It cannot be changed: another value is another subscription, without what the old one had left (docs/deploy.md).
  enable_message_ordering = var.bridge.ordering != "none"

  # Longer than the function's own timeout, so that no answer comes too late.
  ack_deadline_seconds = 120

  push_config {
    push_endpoint = google_cloudfunctions2_function.decoder.service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloudfunctions2_function.decoder.service_config[0].uri
    }
  }

  # 10, 20, 40 … 600 s and 100 attempts: about 15 hours and 40 minutes, then the message is a dead letter.
  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letter.id
    max_delivery_attempts = 100
  }

  expiration_policy {
    ttl = "" # never
  }

  # Moving to the dead-letter topic fails in silence without these.
  depends_on = [google_pubsub_topic_iam_member.agent_dead_letters, google_service_account_iam_member.agent_token]
}

# https://cloud.google.com/pubsub/docs/handling-failures#grant_forwarding_permissions
resource "google_pubsub_topic_iam_member" "agent_dead_letters" {
  topic  = google_pubsub_topic.dead_letter.name
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "agent_dead_letters" {
  subscription = google_pubsub_subscription.push.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent

  # The grant goes with the subscription, and the new one has the same name.
  lifecycle {
    replace_triggered_by = [google_pubsub_subscription.push.id]
  }
}

# The token that each push carries: https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
resource "google_service_account_iam_member" "agent_token" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.pubsub_agent
}
