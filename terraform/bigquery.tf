resource "google_bigquery_dataset" "events" {
  dataset_id  = local.dataset
  location    = coalesce(var.dataset_location, var.region)
  description = "Kafka events: read the views <table>_unique, which show each record once."

  dynamic "default_encryption_configuration" {
    for_each = var.kms_key[*]
    content {
      kms_key_name = default_encryption_configuration.value
    }
  }

  depends_on = [google_project_service.this, time_sleep.kms]
}

locals {
  # Every table by its name: a stream's, and that of the dead letters.
  all_tables = merge(
    { for stream in local.streams : stream.table => "event" },
    { (local.dead_letter) = "dead_letter" },
  )
}

resource "google_bigquery_table" "this" {
  for_each = local.all_tables

  dataset_id          = google_bigquery_dataset.events.dataset_id
  table_id            = each.key
  schema              = file("${local.tables}/${each.value}.json")
  clustering          = local.layout[each.value].cluster
  deletion_protection = true

  time_partitioning {
    type  = "DAY"
    field = local.layout[each.value].partition
  }

  dynamic "encryption_configuration" {
    for_each = var.kms_key[*]
    content {
      kms_key_name = encryption_configuration.value
    }
  }

  lifecycle {
    # A stream that leaves streams.yaml stops the plan here, before anything is deleted; to keep its table and
    # forget it: terraform state rm 'google_bigquery_table.this["TABLE"]' (docs/deploy.md).
    prevent_destroy = true
  }
}

resource "google_bigquery_table" "unique" {
  for_each = local.all_tables

  dataset_id          = google_bigquery_dataset.events.dataset_id
  table_id            = "${each.key}_unique"
  deletion_protection = false # a view holds no data

  view {
    query = templatefile("${local.tables}/${each.value}_view.sql", {
      table = "${var.project}.${local.dataset}.${google_bigquery_table.this[each.key].table_id}"
    })
    use_legacy_sql = false
  }
}

# What insertAll needs, and no more: https://cloud.google.com/bigquery/docs/streaming-data-into-bigquery#required_permissions
resource "google_project_iam_custom_role" "row_writer" {
  role_id     = replace("${local.name}-row-writer", "-", "_")
  title       = "Inserts rows into a table (${local.name})"
  permissions = ["bigquery.tables.get", "bigquery.tables.updateData"]
  depends_on  = [google_project_service.this]
}

# Asked for with the former; says nothing of the rows.
resource "google_project_iam_custom_role" "dataset_reader" {
  role_id     = replace("${local.name}-dataset-reader", "-", "_")
  title       = "Reads a dataset's own description (${local.name})"
  permissions = ["bigquery.datasets.get"]
  depends_on  = [google_project_service.this]
}

resource "google_bigquery_dataset_iam_member" "function" {
  dataset_id = google_bigquery_dataset.events.dataset_id
  role       = google_project_iam_custom_role.dataset_reader.id
  member     = google_service_account.function.member
}

resource "google_bigquery_table_iam_member" "function" {
  for_each = local.all_tables

  dataset_id = google_bigquery_dataset.events.dataset_id
  table_id   = google_bigquery_table.this[each.key].table_id
  role       = google_project_iam_custom_role.row_writer.id
  member     = google_service_account.function.member
}
