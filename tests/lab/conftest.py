from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.lab.lab import Lab
from tests.lab.replaying import every_decision_comes_out_the_same


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.start(tmp_path) as running:
        yield running
    every_decision_comes_out_the_same(tmp_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and isinstance(lab, Lab) and report.when == "call":
        report.sections.append(("lab", lab.evidence()))
    return report
