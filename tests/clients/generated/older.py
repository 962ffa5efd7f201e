"""Prints the API document of a service that is one version older: it knows one status and one member of a task less.

A client that is generated from it meets both when it calls the service. Usage: older.py, with the document (JSON) on
stdin.
"""

import json
import sys

STATUS = "cancelled"
MEMBER = "title"


def without_status(node):
    """`node` without the status in any list of known words."""
    if isinstance(node, list):
        return [without_status(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: without_status(member) for name, member in node.items()}
    words = next((node[name] for name in ("enum", "x-extensible-enum") if name in node), [])
    if STATUS in words:
        place = words.index(STATUS)
        for name in {"enum", "x-extensible-enum", "x-enum-varnames"} & node.keys():
            del node[name][place]
    return node


document = without_status(json.load(sys.stdin))
task = document["components"]["schemas"]["Task"]
del task["properties"][MEMBER]
task["required"].remove(MEMBER)
json.dump(document, sys.stdout)
