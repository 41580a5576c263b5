variable "alerts" {
  description = <<-EOT
    Where alerts begin. `lag_records`: records that the bridge has not taken, and growing. `oldest_unacked_s`: age in
    seconds of the oldest message that the function has not acknowledged. `function_errors_per_s`: 5xx answers, which
    are messages to be delivered again. `silence_minutes`: nothing acknowledged for so long; 0, for no such alert, where
    quiet hours are normal.
  EOT
  type = object({
    lag_records           = optional(number, 10000)
    oldest_unacked_s      = optional(number, 600)
    function_errors_per_s = optional(number, 1)
    silence_minutes       = optional(number, 60)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.alerts.lag_records >= 0 && var.alerts.oldest_unacked_s > 0 && var.alerts.function_errors_per_s > 0
    error_message = "alerts: lag_records must be 0 or more, oldest_unacked_s and function_errors_per_s more than 0."
  }

  validation {
    # It is part of a PromQL duration, which has no fractions. null would be the default, as if nothing were set.
    condition     = can(regex("^(0|[1-9][0-9]*)$", var.alerts.silence_minutes)) && (var.alerts.silence_minutes == 0 || var.alerts.silence_minutes >= 5 && var.alerts.silence_minutes <= 1410)
    error_message = "alerts.silence_minutes must be a whole number from 5 to 1410 (23.5 hours, the longest that Cloud Monitoring takes), or 0 for no alert."
  }
}

variable "bridge" {
  description = <<-EOT
    The worker pool that reads Kafka. `instances`: 0 until the first build has rolled out its code; then 1, or as many as
    share the partitions. `start`: where a consumer group without any commit starts, `latest` or `earliest`.
    `on_out_of_range`: `stop` where retention passed the committed offset, or `resume` from the earliest record.
    `ordering`: `partition` or `key` for order within one, or `none`; to or from `none` makes the push subscription anew,
    so set it before the first apply, or drain first (docs/deploy.md). `bundle`: the most records in a Pub/Sub message, 1
    to 10000, or `auto` for bundles under heavy traffic only. `network`: the VPC through which the brokers are reached,
    null for brokers on the internet.
  EOT
  type = object({
    bundle          = optional(string, "1")
    cpu             = optional(string, "1")
    group_id        = optional(string, "kafka-to-bigquery")
    instances       = optional(number, 0)
    memory          = optional(string, "512Mi")
    on_out_of_range = optional(string, "stop")
    ordering        = optional(string, "none")
    start           = optional(string, "latest")
    network = optional(object({
      network    = string
      subnetwork = string
      egress     = optional(string, "PRIVATE_RANGES_ONLY")
      tags       = optional(list(string), [])
    }))
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["latest", "earliest"], var.bridge.start)
    error_message = "bridge.start must be latest or earliest."
  }

  validation {
    condition     = contains(["stop", "resume"], var.bridge.on_out_of_range)
    error_message = "bridge.on_out_of_range must be stop or resume."
  }

  validation {
    condition     = contains(["none", "partition", "key"], var.bridge.ordering)
    error_message = "bridge.ordering must be none, partition or key."
  }

  validation {
    condition     = can(regex("^(auto|[1-9][0-9]{0,3}|10000)$", var.bridge.bundle))
    error_message = "bridge.bundle must be a whole number from 1 to 10000, or auto."
  }

  validation {
    condition     = var.bridge.instances >= 0 && var.bridge.instances <= 100 && floor(var.bridge.instances) == var.bridge.instances
    error_message = "bridge.instances must be a whole number from 0 to 100."
  }

  validation {
    condition     = trimspace(var.bridge.group_id) != ""
    error_message = "bridge.group_id must not be empty."
  }

  validation {
    # https://cloud.google.com/run/docs/configuring/workerpools/cpu, and memory-limits beside it
    condition     = contains(["1", "2", "4", "6", "8"], var.bridge.cpu) && can(regex("^[1-9][0-9]*[MG]i$", var.bridge.memory))
    error_message = "bridge.cpu must be 1, 2, 4, 6 or 8, and bridge.memory a number with Mi or Gi, such as 512Mi."
  }

  validation {
    condition     = var.bridge.network == null ? true : contains(["PRIVATE_RANGES_ONLY", "ALL_TRAFFIC"], var.bridge.network.egress)
    error_message = "bridge.network.egress must be PRIVATE_RANGES_ONLY or ALL_TRAFFIC."
  }
}

variable "dataset_location" {
  description = "BigQuery location of the dataset, e.g. EU or europe-west1; null for `region`. It cannot be changed later."
  type        = string
  default     = null

  validation {
    # https://cloud.google.com/bigquery/docs/locations
    condition     = var.dataset_location == null ? true : can(regex("^(EU|US|[a-z]+-[a-z]+[0-9]+)$", var.dataset_location))
    error_message = "dataset_location must be EU, US or a region such as europe-west1, or null."
  }
}

variable "env" {
  description = "Name of the environment, e.g. prod: part of every name, a label, and the column env of each row."
  type        = string

  validation {
    # A service account's name has at most 30 characters: kafka-bq-<env>-function.
    condition     = can(regex("^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$", var.env))
    error_message = "env must be 1 to 12 of a-z, 0-9 and -, beginning with a letter and not ending with -."
  }
}

variable "function" {
  description = <<-EOT
    Size of the function. Rows of concurrent requests go to BigQuery together, so a high `concurrency` is cheap.
    `max_instances` bounds what a backlog may cost; Pub/Sub keeps what waits. `insert_max_rows`, `insert_max_bytes`: of
    one request to BigQuery. `max_waiting_bytes`: requests, and rows made of them, that an instance holds at once; the
    rest is answered 503. Keep it under a seventh of `memory`.
  EOT
  type = object({
    concurrency       = optional(number, 80)
    cpu               = optional(string, "1")
    insert_max_bytes  = optional(number, 10000000)
    insert_max_rows   = optional(number, 500)
    max_instances     = optional(number, 10)
    max_waiting_bytes = optional(number, 64000000)
    memory            = optional(string, "512Mi")
    min_instances     = optional(number, 0)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.function.concurrency >= 2 && var.function.concurrency <= 1000 && floor(var.function.concurrency) == var.function.concurrency
    error_message = "function.concurrency must be a whole number from 2 to 1000: at 1 no rows are inserted together."
  }

  validation {
    # Below one, Cloud Run takes one request at a time: https://cloud.google.com/run/docs/configuring/services/cpu
    condition     = contains(["1", "2", "4", "6", "8"], var.function.cpu) && can(regex("^[1-9][0-9]*[MG]i$", var.function.memory))
    error_message = "function.cpu must be 1, 2, 4, 6 or 8, and function.memory a number with Mi or Gi, such as 512Mi."
  }

  validation {
    condition     = var.function.min_instances >= 0 && var.function.max_instances >= 1 && var.function.min_instances <= var.function.max_instances
    error_message = "function.min_instances must be 0 or more, max_instances 1 or more and not below min_instances."
  }

  validation {
    # As sink/limits.py has them: the function does not start with others.
    condition     = alltrue([var.function.insert_max_rows >= 1, var.function.insert_max_rows <= 50000, var.function.insert_max_bytes >= 1000, var.function.insert_max_bytes <= 10000000, var.function.max_waiting_bytes >= 10000000, var.function.max_waiting_bytes <= 32000000000])
    error_message = "function.insert_max_rows must be 1 to 50000, insert_max_bytes 1000 to 10000000, max_waiting_bytes 10000000 to 32000000000."
  }

  validation {
    condition     = alltrue([for n in [var.function.insert_max_rows, var.function.insert_max_bytes, var.function.max_waiting_bytes] : floor(n) == n])
    error_message = "function.insert_max_rows, insert_max_bytes and max_waiting_bytes must be whole numbers."
  }
}

variable "kms_key" {
  description = "Cloud KMS key that encrypts topics, tables, images, the source, the secrets and the function, as projects/P/locations/L/keyRings/R/cryptoKeys/K in `region`; null for Google's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null ? true : can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key))
    error_message = "kms_key must be projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY."
  }

  validation {
    # Topics, images and tables are encrypted by keys of their own location only.
    condition     = !can(regex("/locations/", var.kms_key)) ? true : strcontains(var.kms_key, "/locations/${var.region}/") && coalesce(var.dataset_location, var.region) == var.region
    error_message = "kms_key must be a key in region, and dataset_location that region too, or null."
  }
}

variable "managed_kafka_project" {
  description = "Project of the Managed Service for Apache Kafka cluster that the bridge reads: its identity may then connect to the clusters there. null for other brokers."
  type        = string
  default     = null

  validation {
    condition     = var.managed_kafka_project == null ? true : can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.managed_kafka_project))
    error_message = "managed_kafka_project must be a project id (not its number or display name), or null."
  }
}

variable "notification_channels" {
  description = "Cloud Monitoring channels that alerts go to, as projects/P/notificationChannels/N. None: alerts are seen in the console only."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for c in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[^/]+$", c))])
    error_message = "notification_channels must each be projects/PROJECT/notificationChannels/NUMBER."
  }
}

variable "project" {
  description = "Id of the Google Cloud project."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be a project id (not its number or display name)."
  }
}

variable "region" {
  description = "Region of everything but the dataset, which may be in a multi-region, e.g. europe-west1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a region such as europe-west1, not a zone."
  }
}

variable "retention_days" {
  description = "Days that Pub/Sub keeps messages: unacknowledged ones, dead ones, and acknowledged ones to seek back to. 1 to 31."
  type        = number
  default     = 7
  nullable    = false

  validation {
    # https://cloud.google.com/pubsub/docs/replay-overview
    condition     = var.retention_days >= 1 && var.retention_days <= 31 && floor(var.retention_days) == var.retention_days
    error_message = "retention_days must be a whole number from 1 to 31."
  }
}

variable "schema_registry_credentials" {
  description = "Whether the schema registry asks for credentials: makes a secret, to which you add `user:password` or a bearer token as a version (docs/deploy.md), and which the function alone may read."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.schema_registry_credentials || var.schema_registry_url != null
    error_message = "schema_registry_credentials needs schema_registry_url: the registry that they are for."
  }
}

variable "schema_registry_url" {
  description = "Where the function asks for schemas of topics whose framing is confluent, e.g. https://registry.example.com; null where the catalogue has them all. No user or password: see `schema_registry_credentials`."
  type        = string
  default     = null

  validation {
    condition     = var.schema_registry_url == null ? true : can(regex("^https?://[^@[:space:]]+$", var.schema_registry_url))
    error_message = "schema_registry_url must begin with https:// or http:// and hold no user or password."
  }
}

variable "state_bucket" {
  description = "Bucket of this module's state, which builds on push apply it from; needed with both `trigger` and `terraform_service_account`."
  type        = string
  default     = null

  validation {
    condition     = var.trigger == null || var.terraform_service_account == null || var.state_bucket != null
    error_message = "state_bucket must name the bucket of the state: builds on push apply this module as terraform_service_account."
  }

  validation {
    condition     = var.state_bucket == null ? true : can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", var.state_bucket))
    error_message = "state_bucket must be a bucket's name, without gs://."
  }
}

variable "terraform_service_account" {
  description = "E-mail of the identity that may apply this module, which Cloud Build then impersonates; null where people apply it."
  type        = string
  default     = null

  validation {
    condition     = var.terraform_service_account == null ? true : can(regex("^[^@:]+@[^@]+\\.gserviceaccount\\.com$", var.terraform_service_account))
    error_message = "terraform_service_account must be the e-mail of a service account, without the prefix serviceAccount:."
  }
}

variable "trigger" {
  description = "Build on push: `repository` as Cloud Build knows it (projects/P/locations/L/connections/C/repositories/R), connected in `region`; `branch` a regular expression; `builder_image`, `runtime_image`: the Dockerfile's images by digest, NAME@sha256:…, empty for its tags. null for no trigger."
  type = object({
    repository        = string
    branch            = optional(string, "^main$")
    approval_required = optional(bool, true)
    builder_image     = optional(string, "")
    runtime_image     = optional(string, "")
  })
  default = null

  validation {
    condition     = var.trigger == null ? true : can(regex("^projects/[^/]+/locations/[^/]+/connections/[^/]+/repositories/[^/]+$", var.trigger.repository))
    error_message = "trigger.repository must be projects/P/locations/L/connections/C/repositories/R."
  }

  validation {
    condition     = var.trigger == null ? true : alltrue([for image in [var.trigger.builder_image, var.trigger.runtime_image] : can(regex("^$|@sha256:[0-9a-f]{64}$", image))])
    error_message = "trigger.builder_image and trigger.runtime_image must end with @sha256: and 64 hexadecimal digits."
  }
}
