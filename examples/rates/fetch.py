"""Fetches SOURCE/DAY.json, the rates of the slot's day, checks them, and keeps them as rates-DAY.csv."""

import csv
import json
import os
import pathlib
import sys
import urllib.request

day = os.environ["DAYFLY_SLOT"][:10]  # in UTC, where 16:30 in Tallinn is on the same day

url = f"{os.environ['SOURCE']}/{day}.json"
print("GET", url)
with urllib.request.urlopen(url, timeout=30) as reply:  # anything but 200 is an exception, and so a failed run
    rates = json.load(reply)
if rates.get("day") != day or not rates.get("rates"):
    sys.exit(f"the reply is not about {day}: {rates}")

target = pathlib.Path(os.environ["DAYFLY_RESULTS"]) / f"rates-{day}.csv"
with open(target, "w", newline="") as f:
    out = csv.writer(f)
    out.writerow(["day", "currency", "rate"])
    for currency, rate in sorted(rates["rates"].items()):
        out.writerow([day, currency, rate])
print(f"{target.name}: {len(rates['rates'])} rates")
