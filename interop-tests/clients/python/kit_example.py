"""What the README of the Python kit shows of its HTTP interface: add a file, read it, list it.

Takes the address of the interface; says on standard output what came of it.
"""

import json
import sys

import requests

api_url = sys.argv[1]

with open("example.txt", "rb") as file:
    response = requests.post(f"{api_url}/api/v0/add", files={"file": file})
response.raise_for_status()
added = response.json()
assert added["cid"] == added["Hash"], added

content = requests.get(f"{api_url}/api/v0/cat", params={"arg": added["Hash"]})
content.raise_for_status()

listed = requests.get(f"{api_url}/api/v0/ls", params={"arg": added["Hash"]})
listed.raise_for_status()

# The routes that generated clients use.
called = requests.post(f"{api_url}/api/get", json={"args": [added["cid"]]})
called.raise_for_status()
with open("example.txt", "rb") as file:
    fields = {"pin": "false", "wrap_with_directory": "true"}
    uploaded = requests.post(f"{api_url}/api/upload", files={"file": file}, data=fields)
uploaded.raise_for_status()
saved = requests.get(f"{api_url}/api/download/{added['cid']}", params={"filename": "a b.txt"})
saved.raise_for_status()
refused = requests.post(f"{api_url}/api/nothing", json={})

print(
    json.dumps(
        {
            "added": added,
            "content": content.text,
            "listed": listed.json(),
            "called": called.json(),
            "uploaded": uploaded.json(),
            "saved": [saved.text, saved.headers["content-disposition"]],
            "refused": [refused.status_code, refused.json()],
        }
    )
)
