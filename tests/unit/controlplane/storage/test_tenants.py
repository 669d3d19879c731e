"""What a schema that is distributed by organisation asks of the tables, and who does not fulfil it."""

from sqlalchemy import Table, UniqueConstraint

from controlplane.storage.metadata import metadata
from tests.fakes.every_table import load_every_table

load_every_table()

#: Nobody's: the catalog and programs for download, people before it is known whose they are, the installation's own.
OF_NO_TENANT = {
    "activation_key_digests",
    "catalog_versions",
    "charge_announcements",
    "download_tables",
    "people",
    "plans",
    "provider_events",
    "recovery_codes",
    "refused_attempts",
    "retention_standings",
    "rule_packs",
    "second_factors",
}
#: Unique over all organisations. PostgreSQL can promise that in a table that is whole only, so none of these tables is
#: partitioned; to distribute one (Citus), what is unique moves to a table of its own, as `activation_key_digests` did.
UNIQUE_OVER_ALL = {
    ("billing_accounts", ("number_prefix",)),
    ("members", ("user_id",)),
    ("payment_methods", ("provider", "token")),
    ("payments", ("provider", "provider_payment_id")),
}
#: What tenants' tables refer to besides their own: reference tables, of which every machine has a copy.
REFERRED_TO = {("members", "people"), ("payments", "charge_announcements"), ("subscriptions", "plans")}


def _tenants() -> list[Table]:
    return [table for table in metadata.sorted_tables if table.name not in OF_NO_TENANT]


def test_every_table_of_a_tenant_has_the_organisation_first_in_its_key() -> None:
    without = {table.name for table in metadata.tables.values() if next(iter(table.primary_key)).name != "org_id"}
    assert without == OF_NO_TENANT


def test_what_is_unique_is_so_within_an_organisation() -> None:
    over_all = set()
    for table in _tenants():
        unique = [list(each.columns) for each in table.constraints if isinstance(each, UniqueConstraint)]
        unique += [list(index.columns) for index in table.indexes if index.unique]
        names = [tuple(column.name for column in columns) for columns in unique]
        over_all |= {(table.name, each) for each in names if "org_id" not in each}
    assert over_all == UNIQUE_OVER_ALL


def test_tenants_rows_refer_to_rows_of_the_same_tenant() -> None:
    outward = set()
    for table in _tenants():
        for key in table.foreign_key_constraints:
            if "org_id" not in key.column_keys:
                outward.add((table.name, key.referred_table.name))
            else:
                place = key.column_keys.index("org_id")
                assert key.elements[place].column.name == "org_id", "by the organisation on both sides"
    assert outward == REFERRED_TO
