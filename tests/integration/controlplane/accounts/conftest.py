import pytest

from controlplane.storage.database import Database
from tests.fakes.accounts import Accounts


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database)
