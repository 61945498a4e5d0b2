"""Prefect on PostgreSQL, as teams have it: what is tested of the deployments holds there, too."""

from collections.abc import Iterator

import pytest

from tests.flows.api import new_server
from tests.flows.postgresql import postgresql
from tests.flows.test_deployments import (
    config,
    test_a_deployed_refresh_in_one_pool_starts_a_training_in_the_other,
)

pytestmark = [pytest.mark.prefect, pytest.mark.matrix]

__all__ = ["config", "test_a_deployed_refresh_in_one_pool_starts_a_training_in_the_other"]
"""Collected here once more; they ask for the fixture `server`, which is this file's."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API's address of a server whose database is PostgreSQL's."""
    home = tmp_path_factory.mktemp("prefect")
    with postgresql() as url, new_server(home, PREFECT_SERVER_DATABASE_CONNECTION_URL=url) as api:
        yield api
        assert not list(home.glob("*.db*"))  # no SQLite: all of it was in PostgreSQL
