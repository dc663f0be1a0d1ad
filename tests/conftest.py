"""Hypothesis profile shared by all tests."""

from hypothesis import settings

settings.register_profile("siteloop", deadline=None, derandomize=True, print_blob=False)
settings.load_profile("siteloop")
