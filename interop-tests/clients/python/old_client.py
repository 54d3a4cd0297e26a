"""What ipfshttpclient gets from a daemon.

usage: old_client.py PORT ADDRESS-OF-ANOTHER-NODE PLACE-FOR-FILES
"""

import os
import sys
import threading
import time

import ipfshttpclient

from common import failure, noise, ordered, shape, told

port, partner, place = sys.argv[1:4]
partner_id = partner.rsplit("/", 1)[-1]


class One(str):
    """An address that is not taken apart: the client sends what is in it as further addresses."""

    def __iter__(self):
        return iter(())


address = One(partner)
# `connect` takes daemons before 0.8 only, the class takes any.
client = ipfshttpclient.Client(f"/ip4/127.0.0.1/tcp/{port}/http", timeout=30)


def step(name, run, look=lambda value: value):
    try:
        result = run()
    except Exception as error:  # every error is a result here
        told(name, failure(error))
        return None
    told(name, result, look)
    return result


large = noise(300_000)
tree = os.path.join(place, "tree")
os.makedirs(os.path.join(tree, "sub"))
with open(os.path.join(tree, "one"), "w") as file:
    file.write("one")
with open(os.path.join(tree, "sub", "two"), "wb") as file:
    file.write(large)

# Adding.
small = step("add bytes", lambda: client.add_bytes(b"hello from python\n"))
step("add str", lambda: client.add_str("hello from python\n"))
note = step("add json", lambda: client.add_json({"a": [1, 2], "b": "ä"}))
step("get json", lambda: client.get_json(note))
step("add a file", lambda: client.add(os.path.join(tree, "one")))
step("add a file object", lambda: client.add(open(os.path.join(tree, "sub", "two"), "rb")))
step("add a stream", lambda: client.add_bytes(large[at:at + 70_001] for at in range(0, len(large), 70_001)))
step("add only the hash", lambda: client.add(os.path.join(tree, "one"), only_hash=True))
step("add wrapped", lambda: client.add(os.path.join(tree, "one"), wrap_with_directory=True))
step("add trickle", lambda: client.add(os.path.join(tree, "sub", "two"), trickle=True, chunker="size-1000"))
step("add cidv1", lambda: client.add(os.path.join(tree, "sub", "two"), cid_version=1))
added = step("add a tree", lambda: client.add(tree, recursive=True), ordered)
root = next(entry["Hash"] for entry in added if entry["Name"] == "tree")
big = next(entry["Hash"] for entry in added if entry["Name"] == "tree/sub/two")

# Reading.
step("cat", lambda: client.cat(big))
step("cat a range", lambda: client.cat(big, offset=262_140, length=10))
step("cat a path", lambda: client.cat(f"/ipfs/{root}/one"))
step("cat a directory", lambda: client.cat(root))
step("cat nonsense", lambda: client.cat("nonsense"))


def get():
    target = os.path.join(place, "got")
    os.makedirs(target)
    client.get(root, target=target)
    found = []
    for folder, _, names in os.walk(target):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as got:
                found.append((os.path.relpath(path, target), got.read()))
    return sorted(found)


step("get", get)
step("ls", lambda: client.ls(root))
step("ls a file", lambda: client.ls(big))
step("resolve", lambda: client.resolve(f"/ipfs/{root}/sub/two"))

# Blocks and nodes.
block = step("block put", lambda: client.block.put(os.path.join(tree, "one")))
key = block["Key"] if block else small
step("block get", lambda: client.block.get(key))
step("block stat", lambda: client.block.stat(key))
step("dag put", lambda: client.dag.put(os.path.join(tree, "one")))
step("dag get", lambda: client.dag.get(root))
step("dag resolve", lambda: client.dag.resolve(f"{root}/sub/two"))
car = step("dag export", lambda: client.dag.export(root))


def imported():
    path = os.path.join(place, "car")
    with open(path, "wb") as file:
        file.write(car)
    return client.dag.imprt(path)


step("dag import", imported)
step("object get", lambda: client.object.get(root))

# Pins.
step("pin add", lambda: client.pin.add(root))
step("pin add direct", lambda: client.pin.add(f"/ipfs/{root}/one", recursive=False))
step("pin ls", lambda: client.pin.ls(), ordered)
step("pin ls recursive", lambda: client.pin.ls(type="recursive"), ordered)
step("pin ls of one", lambda: client.pin.ls(root))
step("pin verify", lambda: list(client.pin.verify(root, verbose=True)), ordered)
step("pin update", lambda: client.pin.update(root, big))
step("pin rm", lambda: client.pin.rm(big))
step("pin rm again", lambda: client.pin.rm(big))

# Files.
step("files mkdir", lambda: client.files.mkdir("/py"))
step("files mkdir again", lambda: client.files.mkdir("/py"))
step("files mkdir parents", lambda: client.files.mkdir("/py/a/b", parents=True))
step("files write", lambda: client.files.write("/py/f", open(os.path.join(tree, "one"), "rb"), create=True))
step("files write at an offset", lambda: client.files.write("/py/f", open(os.path.join(tree, "one"), "rb"), offset=1))
step("files write truncated", lambda: client.files.write("/py/f", open(os.path.join(tree, "sub", "two"), "rb"), truncate=True))
step("files read", lambda: client.files.read("/py/f"))
step("files read a range", lambda: client.files.read("/py/f", offset=5, count=7))
step("files cp", lambda: client.files.cp("/py/f", "/py/g"))
step("files cp from ipfs", lambda: client.files.cp(f"/ipfs/{root}", "/py/tree"))
step("files mv", lambda: client.files.mv("/py/g", "/py/a/h"))
step("files ls", lambda: client.files.ls("/py"))
step("files stat", lambda: client.files.stat("/py"))
step("files stat of what is not there", lambda: client.files.stat("/none"))
step("files rm", lambda: client.files.rm("/py/f"))
step("files rm a directory", lambda: client.files.rm("/py/a"))
step("files rm recursive", lambda: client.files.rm("/py/a", recursive=True))
step("files stat after", lambda: client.files.stat("/"))

# Keys and names.
step("key gen", lambda: client.key.gen("py", "ed25519"), shape)
step("key gen rsa", lambda: client.key.gen("py-rsa", "rsa", 2048), shape)
step("key gen again", lambda: client.key.gen("py", "ed25519"))
step("key list", lambda: [known["Name"] for known in client.key.list()["Keys"]])
step("key rename", lambda: client.key.rename("py-rsa", "renamed"), shape)
step("key rm", lambda: client.key.rm("renamed"), shape)
step("key rm again", lambda: client.key.rm("renamed"))
step("name publish", lambda: client.name.publish(f"/ipfs/{root}", allow_offline=True, lifetime="1h"))
self_id = client.id()["ID"]
step("name resolve", lambda: client.name.resolve(self_id))

# The node and its peers.
step("id", lambda: client.id(), shape)
step("version", lambda: client.version()["Version"], shape)
step("config get", lambda: client.config.get(), lambda value: sorted(shape(value)))
step("config set", lambda: client.config.set("Py.Test", "value"))
step("bootstrap list", lambda: client.bootstrap.list())
step("bootstrap add", lambda: client.bootstrap.add(address))
step("bootstrap rm", lambda: client.bootstrap.rm(address))
step("swarm connect", lambda: client.swarm.connect(address))
step("swarm peers", lambda: [peer["Peer"] for peer in client.swarm.peers()["Peers"]])
step("swarm addrs", lambda: partner_id in client.swarm.addrs()["Addrs"])
step("ping", lambda: len(list(client.ping(partner_id, count=2))) > 2)
step("bitswap stat", lambda: client.bitswap.stat(), lambda said: shape({**said, "Peers": []}))
step("bitswap wantlist", lambda: client.bitswap.wantlist())
step("repo stat", lambda: client.repo.stat(), shape)
step("swarm disconnect", lambda: client.swarm.disconnect(address))

# Messages: its way of asking is of before topics were in multibase, and Kubo refuses it.
step("pubsub ls", lambda: client.pubsub.ls())
step("pubsub peers", lambda: client.pubsub.peers())
step("pubsub publish", lambda: client.pubsub.publish("topic", "data"))


def collected():
    """Garbage while more is added."""
    kept = []

    def adding():
        for at in range(20):
            kept.append(client.add_bytes(large[at:]))

    thread = threading.Thread(target=adding)
    thread.start()
    for _ in range(3):
        client.repo.gc(quiet=True)
        time.sleep(0.05)
    thread.join()
    return kept, [len(client.cat(cid)) for cid in kept]


step("gc while adding", collected)
