"""Enqueue jobs on a Flotilla fleet and wait for what they give, typed.

    from flotilla_client import Flotilla, kinds

    fleet = Flotilla("http://127.0.0.1:9464", token="...")
    job = fleet.enqueue(kinds.CAPTION_PARSE({"text": "50% off #sale"}), idempotency_key="post-7")
    print(fleet.wait(job)["hashtags"])
"""

from . import kinds, types
from .client import Flotilla, FlotillaError, JobFailed, Kind, New, Ref

__all__ = ["Flotilla", "FlotillaError", "JobFailed", "Kind", "New", "Ref", "kinds", "types"]
