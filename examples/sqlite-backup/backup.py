"""Copies the SQLite database DATABASE into the results, as NAME-DATE.db.gz.

The copy is made with SQLite's own backup, which sees one state of the database
while others go on writing; cp would not. It is kept only if SQLite finds it whole.
"""

import gzip
import os
import pathlib
import shutil
import sqlite3
import sys

source = pathlib.Path(os.environ["DATABASE"])
results = pathlib.Path(os.environ["DAYFLY_RESULTS"])
day = os.environ["DAYFLY_SLOT"][:10]  # the day this backup is for, also when it is made up for later

copy = pathlib.Path("copy.db")
with sqlite3.connect(source.resolve().as_uri() + "?mode=ro", uri=True) as live, sqlite3.connect(copy) as out:
    live.backup(out, pages=1000, progress=lambda status, left, total: print(f"{total - left} of {total} pages"))
    found = out.execute("PRAGMA integrity_check").fetchall()
if found != [("ok",)]:
    sys.exit(f"the copy is damaged: {found}")

target = results / f"{source.stem}-{day}.db.gz"
with open(copy, "rb") as plain, gzip.open(target, "wb") as packed:
    shutil.copyfileobj(plain, packed)
print(f"{target.name}: {target.stat().st_size} bytes of {copy.stat().st_size}")
