import pytest

from stages.registry import REGISTERED, Registration
from stages.stage_version import stage_versions


@pytest.mark.parametrize("registered", REGISTERED, ids=lambda registered: registered.name)
def test_it_is_the_version_that_the_stage_has(registered: Registration):
    assert stage_versions()[registered.name] == registered.load_stage().version
