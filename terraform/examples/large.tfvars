# Thousands of events a second, brokers in a VPC, a key of your own, builds on push.
project          = "my-project"
region           = "europe-west1"
env              = "prod"
dataset_location = "europe-west1"
retention_days   = 14

# instances: 0 for the first apply; 2 once the first build has rolled out the bridge and the Kafka properties are there.
# bundle: a message is paid for, however many records it has.
bridge = {
  bundle    = "100"
  instances = 0
  memory    = "1Gi"
  network = {
    network    = "kafka"
    subnetwork = "kafka-europe-west1"
  }
}

# The brokers are those of Google's Managed Service for Apache Kafka in this project.
managed_kafka_project = "my-project"

# Each instance inserts some two thousand events a second.
function = { min_instances = 2, max_instances = 30, memory = "1Gi" }

# Topics whose framing is confluent have their schemas in a registry, whose API key is a version of a secret.
schema_registry_credentials = true
schema_registry_url         = "https://psrc-12345.europe-west1.gcp.confluent.cloud"

alerts                = { lag_records = 100000, silence_minutes = 15 }
notification_channels = ["projects/my-project/notificationChannels/1234567890"]

kms_key = "projects/my-project/locations/europe-west1/keyRings/data/cryptoKeys/events"

# Leave these out of the first apply: the identity and the connected repository must be there before (docs/deploy.md, 3).
state_bucket              = "my-project-terraform"
terraform_service_account = "terraform@my-project.iam.gserviceaccount.com"

trigger = {
  repository = "projects/my-project/locations/europe-west1/connections/github/repositories/kafka-to-bigquery"
}
