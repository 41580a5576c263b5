"""`python -m decoder check`: all that is looked for in a catalog that loads."""

from pathlib import Path

from decoder.catalog import Catalog
from decoder.evolution import incompatible_versions
from decoder.findings import Findings
from decoder.identity import changed_identities
from decoder.lint import lint
from decoder.misreads import misread_versions
from decoder.sample_check import sample_problems, unsampled_types


def check(catalog: Catalog, schemas: Path) -> Findings:
    """Return what is found in a catalog and its folder of schemas.

    Raises:
        CatalogError: identity.json cannot be read.
    """
    linted, misread = lint(catalog, schemas), misread_versions(catalog)
    errors = [*incompatible_versions(catalog), *misread.errors, *changed_identities(catalog, schemas)]
    return Findings(
        [*linted.errors, *errors, *sample_problems(catalog)],
        [*linted.warnings, *misread.warnings],
        [*misread.notes, *unsampled_types(catalog)],
    )
