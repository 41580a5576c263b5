"""Terraform without its registry: providers that know the schemas and make nothing."""
