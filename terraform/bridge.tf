# The bridge's infrastructure. Its image is Cloud Build's: `gcloud run worker-pools update` in cloudbuild.yaml.

resource "google_service_account" "bridge" {
  account_id   = "${local.name}-bridge"
  display_name = "The bridge: publishes to two topics, ${var.env}"
  depends_on   = [google_project_service.this]
}

resource "google_pubsub_topic_iam_member" "bridge" {
  for_each = { events = google_pubsub_topic.events.name, dead_letter = google_pubsub_topic.dead_letter.name }

  topic  = each.value
  role   = "roles/pubsub.publisher"
  member = google_service_account.bridge.member
}

# Brokers of Google's take the identity's own token: https://cloud.google.com/managed-service-for-apache-kafka/docs/authentication-kafka
resource "google_project_iam_member" "bridge_managed_kafka" {
  count = var.managed_kafka_project == null ? 0 : 1

  project = var.managed_kafka_project
  role    = "roles/managedkafka.client"
  member  = google_service_account.bridge.member
}

# The properties file of librdkafka: brokers, security, credentials. Its content is not Terraform's, see docs/deploy.md.
resource "google_secret_manager_secret" "kafka" {
  secret_id = "${local.name}-kafka-properties"

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

  lifecycle {
    prevent_destroy = true
  }

  depends_on = [google_project_service.this, time_sleep.kms]
}

# A pool cannot be made with a secret that has no version. This one is no secret; with it alone the bridge stops and
# says which setting is missing.
resource "google_secret_manager_secret_version" "placeholder" {
  secret                 = google_secret_manager_secret.kafka.id
  secret_data_wo         = "# no properties yet: add a version, see docs/deploy.md\n"
  secret_data_wo_version = "1"
}

resource "google_secret_manager_secret_iam_member" "bridge" {
  secret_id = google_secret_manager_secret.kafka.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.bridge.member
}

resource "google_cloud_run_v2_worker_pool" "bridge" {
  name                = "${local.name}-bridge"
  location            = var.region
  description         = "Forwards Kafka records to Pub/Sub."
  deletion_protection = true

  scaling {
    manual_instance_count = var.bridge.instances
  }

  template {
    service_account = google_service_account.bridge.email
    encryption_key  = var.kms_key

    containers {
      name  = "bridge"
      image = "us-docker.pkg.dev/cloudrun/container/hello" # until the first build; no instance runs it. It answers the probes
      args  = ["--env", var.env]

      dynamic "env" {
        for_each = {
          BRIDGE_BUNDLE            = var.bridge.bundle
          BRIDGE_ON_OUT_OF_RANGE   = var.bridge.on_out_of_range
          BRIDGE_ORDERING          = var.bridge.ordering
          BRIDGE_START             = var.bridge.start
          KAFKA_GROUP_ID           = var.bridge.group_id
          KAFKA_PROPERTIES_FILE    = "/etc/kafka/properties/kafka.properties"
          KAFKA_TOPICS             = join(",", local.topics)
          PUBSUB_DEAD_LETTER_TOPIC = google_pubsub_topic.dead_letter.id
          PUBSUB_TOPIC             = google_pubsub_topic.events.id
        }
        content {
          name  = env.key
          value = env.value
        }
      }

      resources {
        limits = { cpu = var.bridge.cpu, memory = var.bridge.memory }
      }

      # Answers once the settings are read, before the brokers are asked for anything; the liveness probe waits for it.
      startup_probe {
        http_get {
          path = "/healthz"
          port = 8080
        }
        period_seconds    = 5
        timeout_seconds   = 5
        failure_threshold = 12
      }

      # Says 503 when the loop has not turned for two minutes. Not /readyz: where Pub/Sub does not take records, a restart
      # would only lose the membership of the group.
      liveness_probe {
        http_get {
          path = "/healthz"
          port = 8080
        }
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3
      }

      volume_mounts {
        name       = "kafka-properties"
        mount_path = "/etc/kafka/properties"
      }
    }

    volumes {
      name = "kafka-properties"
      secret {
        secret = google_secret_manager_secret.kafka.secret_id
        items {
          path    = "kafka.properties"
          version = "latest"
        }
      }
    }

    dynamic "vpc_access" {
      for_each = var.bridge.network[*]
      content {
        egress = vpc_access.value.egress
        network_interfaces {
          network    = vpc_access.value.network
          subnetwork = vpc_access.value.subnetwork
          tags       = vpc_access.value.tags
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [
      # Cloud Build owns the code: an apply must not put the placeholder's image back.
      template[0].containers[0].image,
      # The tool that rolled it out, which gcloud writes down.
      client,
      client_version,
      template[0].client,
      template[0].client_version,
    ]
  }

  depends_on = [
    google_project_service.this,
    google_pubsub_topic_iam_member.bridge,
    google_secret_manager_secret_version.placeholder,
    time_sleep.grants,
  ]
}
