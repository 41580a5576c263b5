# `terraform test`: nothing is made, every provider is a mock.

mock_provider "google" {
  override_during = plan

  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

mock_provider "archive" {
  override_during = plan
}

mock_provider "time" {
  override_during = plan
}

override_resource {
  target          = google_pubsub_topic.dead_letter
  override_during = plan
  values          = { id = "projects/my-project/topics/the-dead-letter-topic" }
}

override_resource {
  target          = google_service_account.push
  override_during = plan
  values          = { member = "serviceAccount:the-push-identity" }
}

variables {
  project = "my-project"
  region  = "europe-west1"
  env     = "stage"
}

run "each_stream_gets_its_table_and_its_view" {
  command = plan

  assert {
    condition     = toset(keys(google_bigquery_table.this)) == setunion([for s in yamldecode(file("../streams.yaml")).streams : s.table], ["dead_letters"])
    error_message = "The tables are not those of streams.yaml and dead_letters."
  }

  assert {
    condition     = alltrue([for table, view in google_bigquery_table.unique : strcontains(view.view[0].query, "`my-project.events_stage.${table}`")])
    error_message = "A view does not read its own table by its full name."
  }
}

# Regression: anyone on the internet could push rows.
run "the_function_is_not_public" {
  command = plan

  assert {
    condition     = google_cloudfunctions2_function.decoder.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"
    error_message = "The function takes requests from the internet."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_binding.invoker.members == toset(["serviceAccount:the-push-identity"]) && google_cloud_run_v2_service_iam_binding.invoker.role == "roles/run.invoker"
    error_message = "Others than the push identity may invoke the function."
  }
}

# Regression: a dead-letter topic without a subscription loses what it gets.
run "the_dead_letter_topic_has_a_subscription_that_never_expires" {
  command = plan

  assert {
    condition     = google_pubsub_subscription.dead_letter.topic == "projects/my-project/topics/the-dead-letter-topic" && google_pubsub_subscription.dead_letter.expiration_policy[0].ttl == ""
    error_message = "Dead letters are not kept."
  }

  assert {
    condition     = google_pubsub_subscription.push.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.dead_letter.id && google_pubsub_subscription.push.dead_letter_policy[0].max_delivery_attempts == 100 && google_pubsub_subscription.push.retry_policy[0].maximum_backoff == "600s"
    error_message = "An outage of hours would fill the dead-letter topic."
  }
}

run "removing_a_stream_protects_its_table" {
  command = plan

  assert {
    condition     = alltrue([for table in google_bigquery_table.this : table.deletion_protection])
    error_message = "A table could be deleted with its rows."
  }
}

run "names_carry_the_env" {
  command = plan

  assert {
    condition = alltrue([for name in [
      google_pubsub_topic.events.name, google_pubsub_topic.dead_letter.name, google_pubsub_subscription.push.name,
      google_pubsub_subscription.dead_letter.name, google_cloudfunctions2_function.decoder.name,
      google_cloud_run_v2_worker_pool.bridge.name, google_secret_manager_secret.kafka.secret_id,
      google_bigquery_dataset.events.dataset_id, google_service_account.bridge.account_id,
      google_service_account.function.account_id, google_service_account.push.account_id,
      google_service_account.build.account_id, google_storage_bucket.build.name,
      google_artifact_registry_repository.images.repository_id,
    ] : strcontains(name, "stage")])
    error_message = "Two environments in one project would collide."
  }
}

run "the_bridge_starts_from_no_instances" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_worker_pool.bridge.scaling[0].manual_instance_count == 0
    error_message = "The pool would run the placeholder's image."
  }
}

run "order_is_off_on_both_sides" {
  command = plan

  assert {
    condition     = !google_pubsub_subscription.push.enable_message_ordering && { for e in google_cloud_run_v2_worker_pool.bridge.template[0].containers[0].env : e.name => e.value }["BRIDGE_ORDERING"] == "none"
    error_message = "The subscription orders what has no key, at the price of throughput."
  }
}

# Regression: keys without an ordering subscription, or the reverse, are no order.
run "order_is_on_on_both_sides" {
  command = plan
  variables { bridge = { ordering = "key" } }

  assert {
    condition     = google_pubsub_subscription.push.enable_message_ordering && { for e in google_cloud_run_v2_worker_pool.bridge.template[0].containers[0].env : e.name => e.value }["BRIDGE_ORDERING"] == "key"
    error_message = "Keys and subscription do not agree."
  }
}

run "only_managed_kafka_needs_a_grant" {
  command = plan

  assert {
    condition     = length(google_project_iam_member.bridge_managed_kafka) == 0
    error_message = "The bridge may connect to clusters that it does not read."
  }
}

run "without_a_registry_the_function_reads_no_secret" {
  command = plan

  assert {
    condition     = length(google_secret_manager_secret.schema_registry) + length(google_secret_manager_secret_iam_member.function) + length(google_cloudfunctions2_function.decoder.service_config[0].secret_environment_variables) == 0
    error_message = "The function may read what it has no use for."
  }
}

run "a_registry_on_the_inside_needs_no_secret" {
  command = plan
  variables { schema_registry_url = "http://registry.internal:8081" }

  assert {
    condition     = length(google_secret_manager_secret.schema_registry) == 0 && google_cloudfunctions2_function.decoder.service_config[0].environment_variables["SCHEMA_REGISTRY_URL"] == "http://registry.internal:8081"
    error_message = "There is a secret that nobody asks for."
  }
}

# Regression: credentials in a plain variable are in the state and in the console.
run "the_registrys_credentials_are_a_secret" {
  command = plan
  variables {
    schema_registry_credentials = true
    schema_registry_url         = "https://registry.example.com"
  }

  assert {
    condition     = { for v in google_cloudfunctions2_function.decoder.service_config[0].secret_environment_variables : v.key => v.secret } == { SCHEMA_REGISTRY_CREDENTIALS = "kafka-bq-stage-schema-registry" }
    error_message = "The function does not get the credentials."
  }

  assert {
    condition     = google_secret_manager_secret_iam_member.function[0].role == "roles/secretmanager.secretAccessor" && google_secret_manager_secret_iam_member.function[0].secret_id == "kafka-bq-stage-schema-registry"
    error_message = "The function may read another secret, or not this one."
  }
}

run "credentials_are_for_a_registry" {
  command = plan
  variables { schema_registry_credentials = true }
  expect_failures = [var.schema_registry_credentials]
}

run "a_password_in_the_address_is_refused" {
  command = plan
  variables { schema_registry_url = "https://user:password@registry.example.com" }
  expect_failures = [var.schema_registry_url]
}

run "an_unknown_ordering_is_refused" {
  command = plan
  variables { bridge = { ordering = "topic" } }
  expect_failures = [var.bridge]
}

run "an_unknown_answer_to_a_gap_is_refused" {
  command = plan
  variables { bridge = { on_out_of_range = "skip" } }
  expect_failures = [var.bridge]
}

run "a_bundle_has_an_end" {
  command = plan
  variables { bridge = { bundle = 10001 } }
  expect_failures = [var.bridge]
}

run "a_bundle_of_none_is_refused" {
  command = plan
  variables { bridge = { bundle = 0 } }
  expect_failures = [var.bridge]
}

run "a_clusters_project_is_an_id" {
  command = plan
  variables { managed_kafka_project = "123456789012" }
  expect_failures = [var.managed_kafka_project]
}

run "a_wrong_env_is_one_clear_message" {
  command = plan
  variables { env = "Production_Environment" }
  expect_failures = [var.env]
}

run "a_zone_is_no_region" {
  command = plan
  variables { region = "europe-west1-b" }
  expect_failures = [var.region]
}

run "a_function_without_concurrency_is_refused" {
  command = plan
  variables { function = { concurrency = 1 } }
  expect_failures = [var.function]
}

run "half_a_cpu_is_refused" {
  command = plan
  variables { function = { cpu = "0.5" } }
  expect_failures = [var.function]
}

run "memory_has_a_unit_that_both_take" {
  command = plan
  variables { bridge = { memory = "512MB" } }
  expect_failures = [var.bridge]
}

run "a_key_in_another_region_is_refused" {
  command = plan
  variables { kms_key = "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k" }
  expect_failures = [var.kms_key]
}

run "a_key_of_the_region_does_not_encrypt_a_multi_region" {
  command = plan
  variables {
    dataset_location = "EU"
    kms_key          = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"
  }
  expect_failures = [var.kms_key]
}

run "quiet_hours_may_be_normal" {
  command = plan
  variables { alerts = { silence_minutes = 0 } }

  assert {
    condition     = length(google_monitoring_alert_policy.no_rows) == 0
    error_message = "Where nothing is produced at night, an alert fires each night."
  }
}

run "builds_that_apply_need_the_states_bucket" {
  command = plan
  variables {
    terraform_service_account = "terraform@my-project.iam.gserviceaccount.com"
    trigger                   = { repository = "projects/p/locations/l/connections/c/repositories/r" }
  }
  expect_failures = [var.state_bucket]
}
