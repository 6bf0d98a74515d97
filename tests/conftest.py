"""Settings of the whole suite."""

from hypothesis import settings

# Speed is measured in scripts/benchmarks, never by a test.
settings.register_profile("srzoo", deadline=None)
settings.load_profile("srzoo")
