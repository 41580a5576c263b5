locals {
  name = "kafka-bq-${var.env}"

  # The one list of streams: the function routes by the same file.
  streams = yamldecode(file("${path.module}/../streams.yaml")).streams
  topics  = sort(flatten([for stream in local.streams : [for topic in stream.topics : topic.name]]))

  dataset     = "events_${replace(var.env, "-", "_")}"
  dead_letter = "dead_letters"
  tables      = "${path.module}/../sink/tables"
  layout      = jsondecode(file("${local.tables}/layout.json"))

  # What Google's own agents are called: https://cloud.google.com/iam/docs/service-agents
  number       = data.google_project.this.number
  pubsub_agent = "serviceAccount:service-${local.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

data "google_project" "this" {
  project_id = var.project
}
