import pytest
from prometheus_client import CollectorRegistry

from controlplane.runtime.observability.meters import JobMeters
from tests.fakes.jobs import job_of_kind


async def test_jobs_are_counted_by_kind_and_how_they_ended() -> None:
    registry = CollectorRegistry()
    meters = JobMeters(registry)
    with meters.around(job_of_kind("a")):
        pass
    for _ in range(2):
        with pytest.raises(RuntimeError), meters.around(job_of_kind("b")):
            raise RuntimeError
    meters.parked(job_of_kind("b"))
    counted = registry.get_sample_value
    assert counted("buckler_jobs_ended_total", {"kind": "a", "outcome": "succeeded"}) == 1
    assert counted("buckler_jobs_ended_total", {"kind": "b", "outcome": "failed"}) == 2
    assert counted("buckler_job_seconds_count", {"kind": "b"}) == 2
    assert counted("buckler_jobs_parked_total", {"kind": "b"}) == 1
