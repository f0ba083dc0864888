"""A guest takes more than a minute, mostly of one processor: it is begun before all other tests, and asked after them."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        names = getattr(item, "fixturenames", ())
        return 1 if "guest" in names else -1 if "begun" in names else 0

    items.sort(key=turn)
