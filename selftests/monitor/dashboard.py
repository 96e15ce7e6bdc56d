#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""dashboard.py URL DASHBOARD: asks the Prometheus at URL each query of a dashboard of Grafana. Prints what it answers, and fails
if there is one without a number."""

import json
import math
import re
import sys
import urllib.parse
import urllib.request

url, dashboard = sys.argv[1], json.load(open(sys.argv[2], encoding="utf-8"))
# What Grafana puts in place of these.
VARIABLES = {"$__rate_interval": "30s", "$__range": "5m", "$device": ".*", "$public_key": ".*"}


def substituted(query):
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def answer(query):
    with urllib.request.urlopen(f"{url}/api/v1/query?" + urllib.parse.urlencode({"query": query}), timeout=60) as reply:
        return [float(each["value"][1]) for each in json.load(reply)["data"]["result"]]


def queries():
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            # There is a series with that label.
            yield f"variable {variable['name']}", f"{metric} and on ({label}) group by ({label}) ({metric})"
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target["expr"]


bad = 0
for name, query in queries():
    try:
        numbers = answer(substituted(query))
    except OSError as error:
        numbers = []
        print(name, error)
    good = numbers and all(map(math.isfinite, numbers))
    bad += not good
    print("ok    " if good else "FAILED", name, [round(number, 6) for number in numbers], "" if good else query)
sys.exit(bool(bad))
