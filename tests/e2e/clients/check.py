"""The Python client against a real server: URL and token are arguments."""
import sys
from typing import assert_type

from flotilla_client import Flotilla, FlotillaError, JobFailed, kinds, types

fleet = Flotilla(sys.argv[1], token=sys.argv[2])

job = fleet.enqueue(kinds.CAPTION_PARSE({"text": "50% off #sale"}), idempotency_key="k1")
assert job.outcome == "created", job
again = fleet.enqueue(kinds.CAPTION_PARSE({"text": "50% off #sale"}), idempotency_key="k1")
assert again.id == job.id, "the same key is the same job"
parsed = fleet.wait(job)
assert_type(parsed, types.CaptionParseResult)
assert parsed["hashtags"][0]["tag"] == "sale", parsed

many = fleet.enqueue_all([kinds.CAPTION_PARSE({"text": f"#n{n}"}, priority=n) for n in range(3)])
assert [fleet.wait(one)["hashtags"][0]["tag"] for one in many] == ["n0", "n1", "n2"]

try:
    fleet.enqueue(kinds.CAPTION_PARSE({"txt": "a"}))  # type: ignore[typeddict-item]
    raise SystemExit("a wrong payload was taken")
except FlotillaError as error:
    assert error.problem["status"] == 422, error.problem
    assert "text" in str(error), error
try:
    Flotilla(sys.argv[1], token="wrong").get(job)
    raise SystemExit("a wrong token was let in")
except FlotillaError as error:
    assert error.problem["status"] == 401, error.problem

later = fleet.enqueue(kinds.CAPTION_PARSE({"text": "a"}, run_at="2999-01-01T00:00:00Z"))
fleet.cancel(later, "no longer wanted")
try:
    fleet.wait(later)
    raise SystemExit("a cancelled job gave a result")
except JobFailed as failed:
    assert failed.job["state"] == "cancelled", failed.job
try:
    fleet.wait(fleet.enqueue(kinds.CAPTION_PARSE({"text": "a"}, run_at="2999-01-01T00:00:00Z")), timeout=0.1)
    raise SystemExit("it did not wait")
except TimeoutError:
    print("ok")
