"""Samples and rates."""

import pytest

from sandbox.metrics import Sample, rates, sample
from sandbox.primitives.cgroups import Usage


def test_rates_are_what_was_used_in_the_time_between() -> None:
    before = Sample(10.0, Usage(cpu_seconds=1.0, throttled_seconds=0.0, io_read=1000, io_written=0, cpu_stalled=0.5))
    after = Sample(12.0, Usage(cpu_seconds=4.0, throttled_seconds=0.5, io_read=5000, io_written=64, cpu_stalled=1.5))
    found = rates(before, after)
    assert (found.cpu, found.throttled, found.io_read, found.io_written, found.cpu_stalled) == (1.5, 0.25, 2000.0, 32.0, 0.5)


def test_what_is_not_counted_has_no_rate() -> None:
    found = rates(Sample(1.0, Usage()), Sample(2.0, Usage(cpu_seconds=1.0)))
    assert found.cpu is None
    assert found.memory_stalled is None


def test_two_samples_of_the_same_moment_have_no_rate() -> None:
    moment = Sample(1.0, Usage())
    with pytest.raises(ValueError, match="later"):
        rates(moment, moment)


def test_a_sample_of_a_group_that_does_not_exist_holds_nothing() -> None:
    assert sample(()).usage == Usage()
    assert sample(()).at > 0
