import pytest

from controlplane.storage.database import Database
from tests.fakes.billing import BillingWorld


@pytest.fixture
def world(database: Database) -> BillingWorld:
    return BillingWorld(database)
