"""Reads SOURCE/page/1, /2 and so on until there is no more, and keeps a line for each item.

After every page the state is written to STATE/RUN.json. All attempts of a run
share the name of the run, so the next one finds it there, and another run does not.
"""

import json
import os
import pathlib
import urllib.error
import urllib.request

state_dir = pathlib.Path(os.environ["STATE"])
state_dir.mkdir(parents=True, exist_ok=True)
path = state_dir / f"{os.environ['DAYFLY_RUN']}.json"


def save(state):
    """Leaves either the old state or the new one, whenever the machine ends."""
    part = path.with_suffix(".part")
    with open(part, "w") as f:
        json.dump(state, f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(part, path)


state = {"next": 1, "items": []}
if path.exists():
    state = json.loads(path.read_text())
    print(f"attempt {os.environ['DAYFLY_ATTEMPT']} goes on at page {state['next']}")

while True:
    try:
        with urllib.request.urlopen(f"{os.environ['SOURCE']}/page/{state['next']}", timeout=30) as reply:
            page = json.load(reply)
    except urllib.error.HTTPError as err:
        if err.code == 404:
            break  # there are no more
        raise
    state["items"] += page["items"]
    state["next"] += 1
    save(state)

results = pathlib.Path(os.environ["DAYFLY_RESULTS"])
(results / "items.txt").write_text("".join(item + "\n" for item in state["items"]))
path.unlink(missing_ok=True)
print(f"{state['next'] - 1} pages, {len(state['items'])} items")
