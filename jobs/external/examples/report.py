"""report.render: rows and a file of prices become a report. A handler for Flotilla; see PROTOCOL.md.

Holds several jobs at once, one thread each; after a crash it goes on behind the last row it kept.
"""
import json, sys, threading

out = threading.Lock()  # one line at a time
jobs = {}  # id -> {"cancelled": Event, "kept": Semaphore}


class Failed(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def say(**word):
    with out:
        print(json.dumps(word), flush=True)


def render(job, state):
    payload, lines = job["payload"], job.get("checkpoints", {}).get("lines", [])
    try:
        with open(payload["prices"]) as file:
            prices = json.load(file)
    except FileNotFoundError as error:
        raise Failed("transient", f"no prices yet: {error.filename}")
    for row in payload["rows"][len(lines):]:
        if row["item"] not in prices:
            raise Failed("invalid", f"nobody sells {row['item']}")
        if state["cancelled"].wait(payload.get("pause", 0)):
            raise Failed("cancelled", "told to stop")
        lines.append(f"{row['item']}: {row['count'] * prices[row['item']]:.2f}")
        say(type="progress", id=job["id"], fraction=len(lines) / len(payload["rows"]), message=lines[-1])
        say(type="checkpoint", id=job["id"], step="lines", data=lines)
        state["kept"].acquire()  # now it is durable
    return {"report": "\n".join(lines), "attempt": job["attempt"]}


def run(job, state):
    try:
        say(type="result", id=job["id"], result=render(job, state))
    except Failed as failed:
        say(type="error", id=job["id"], **{"class": failed.kind}, message=str(failed))
    except Exception as error:  # a bug: retried, for a newer version may mend it
        say(type="error", id=job["id"], **{"class": "panic"}, message=repr(error))
    del jobs[job["id"]]


say(type="hello", protocol=1, concurrency=4)
for line in sys.stdin:
    word = json.loads(line)
    if word["type"] == "job":
        jobs[word["id"]] = state = {"cancelled": threading.Event(), "kept": threading.Semaphore(0)}
        threading.Thread(target=run, args=(word, state), daemon=True).start()
    elif state := jobs.get(word.get("id")):
        state["cancelled"].set() if word["type"] == "cancel" else state["kept"].release()
