terraform {
  required_version = ">= 1.11"

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.7, < 3"
    }
    google = {
      source = "hashicorp/google"
      # The worker pool's liveness_probe came within 7; without a lock file init takes the newest.
      version = ">= 7, < 9"
    }
    time = {
      source  = "hashicorp/time"
      version = ">= 0.12, < 1"
    }
  }

  # terraform init -backend-config=bucket=BUCKET -backend-config=prefix=ENV
  backend "gcs" {}
}

provider "google" {
  project = var.project
  region  = var.region

  default_labels = {
    app = "kafka-bq"
    env = var.env
  }
}
