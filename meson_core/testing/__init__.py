"""Owns what plugin authors test with: kits that plugins must pass, a fake outside service, and a clock turned by hand.

    class TestMyScheduler(ResourceSchedulerKit):
        definition = my_plugin.DEFINITION

    clock           time that a test turns
    kinds           the kit for step kinds
    schedulers      the kit for resource schedulers
    fake_service    a service outside of Meson that counts what is submitted to it
    pytest_plugin   the same as fixtures; installed with meson-core

Everything is imported when it is first used: the pytest plugin is loaded by every pytest of an environment.
"""

from __future__ import annotations
