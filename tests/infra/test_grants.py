"""Every grant of terraform/ is a row of docs/security.md, and every row a grant."""

import re

import pytest

from tests.infra.conftest import REPOSITORY, Resource

pytestmark = pytest.mark.needs("terraform")

TARGETS = {
    "google_artifact_registry_repository_iam_member": ("repository", "repository"),
    "google_bigquery_dataset_iam_member": ("dataset", "dataset_id"),
    "google_cloud_run_v2_service_iam_binding": ("function", "name"),
    "google_cloud_run_v2_worker_pool_iam_member": ("worker pool", "name"),
    "google_kms_crypto_key_iam_member": ("key", ""),
    "google_project_iam_member": ("project", ""),
    "google_pubsub_subscription_iam_member": ("subscription", "subscription"),
    "google_pubsub_topic_iam_member": ("topic", "topic"),
    "google_secret_manager_secret_iam_member": ("secret", "secret_id"),
    "google_service_account_iam_member": ("identity", "service_account_id"),
    "google_storage_bucket_iam_member": ("bucket", "bucket"),
}
AGENTS = {
    "gcp-sa-artifactregistry": "artifact_registry",
    "bigquery-encryption": "bigquery",
    "gcf-admin-robot": "functions",
    "gcp-sa-pubsub": "pubsub",
    "serverless-robot-prod": "run",
    "gcp-sa-secretmanager": "secret_manager",
    "gs-project-accounts": "storage",
}
PRIMITIVE = {"roles/owner", "roles/editor", "roles/viewer"}

Grant = tuple[str, str, str]


def short(name: object) -> str:
    """Return a name without what is the same for all: kafka-bq-prod-, the project, the mock's words."""
    return re.sub(r"^name of |.*/|@.*|my-project-|kafka-bq-prod-|_prod$", "", str(name))


def who(member: str) -> str:
    """Return the identity of ours, or the agent of Google's."""
    name, _, domain = member.removeprefix("serviceAccount:").partition("@")
    agent = AGENTS.get(domain.partition(".")[0])
    return f"agent {agent}" if agent else short(name)


def where(resource: Resource, values: Resource) -> str:
    """Return what the grant is on."""
    kind = str(resource["type"])
    if kind == "google_bigquery_table_iam_member":
        return "each table"
    word, attribute = TARGETS[kind]
    on = f"{word} {short(values[attribute])}" if attribute else word
    conditions = values.get("condition")
    if isinstance(conditions, list) and conditions:
        (buckets,) = re.findall(r"buckets/(gcf-v2-sources)-", conditions[0]["expression"])
        on += f", only buckets {buckets}"
    return on


def granted(resources: list[Resource]) -> set[Grant]:
    """Return all grants of the applied module."""
    grants = set()
    for resource in resources:
        if re.search(r"_iam_(member|binding|policy)$", str(resource["type"])):
            values = resource["values"]
            assert isinstance(values, dict)
            role = str(values["role"]).removeprefix("kafka_bq_prod_")
            members = values["members"] if "members" in values else [values["member"]]
            grants |= {(who(member), role, where(resource, values)) for member in members}
    return grants


def documented() -> set[Grant]:
    """Return the rows of the document's table."""
    text = (REPOSITORY / "docs" / "security.md").read_text()
    table = text.partition("| who | role | on |\n|---|---|---|\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {(who, role, on) for who, role, on in rows}


def test_the_document_has_every_grant(resources: list[Resource]) -> None:
    """The table of docs/security.md is what an apply with every option grants."""
    assert granted(resources) == documented()


def test_the_function_may_write_to_its_tables_only(resources: list[Resource]) -> None:
    """The function has a grant on each table of streams.yaml and on dead_letters, and reads one secret."""
    tables = {
        r["index"] for r in resources if r["address"].__str__().startswith("google_bigquery_table.this[")
    }
    mine = {r["index"] for r in resources if r["type"] == "google_bigquery_table_iam_member"}
    assert mine == tables
    assert {grant for grant in granted(resources) if grant[0] == "function"} == {
        ("function", "row_writer", "each table"),
        ("function", "dataset_reader", "dataset events"),
        ("function", "roles/secretmanager.secretAccessor", "secret schema-registry"),
    }


def test_no_role_is_primitive_and_there_are_no_keys(resources: list[Resource]) -> None:
    """Nobody is owner, editor or viewer; no service account has a key."""
    assert not {role for _, role, _ in granted(resources)} & PRIMITIVE
    assert not [r for r in resources if str(r["type"]).endswith("_key") and "kms" not in str(r["type"])]
