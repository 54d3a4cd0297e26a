"""What aioipfs gets from a daemon.

usage: async_client.py PORT ADDRESS-OF-ANOTHER-NODE PLACE-FOR-FILES
"""

import asyncio
import os
import sys

import aioipfs

from common import failure, noise, ordered, shape, told

port, partner, place = sys.argv[1:4]
partner_id = partner.rsplit("/", 1)[-1]


async def step(name, work, look=lambda value: value):
    try:
        result = await asyncio.wait_for(work, 30)
    except Exception as error:  # every error is a result here
        told(name, failure(error))
        return None
    told(name, result, look)
    return result


async def every(source):
    return [item async for item in source]


async def adding(client, root, large):
    hello = await step("add bytes", client.add_bytes(b"hello from asyncio\n"))
    await step("add str", client.add_str("hello from asyncio\n", name="named"))
    await step("add json", client.add_json({"a": [1, 2]}))
    await step("add cidv1", client.add_bytes(large, cid_version=1))
    await step("add raw leaves", client.add_bytes(large, raw_leaves=True, chunker="size-1000"))
    await step("add inline", client.add_bytes(b"tiny", cid_version=1, inline=True))
    await step("add only the hash", client.add_bytes(b"never kept", only_hash=True))
    await step("add to files", client.add_bytes(b"to files", to_files="/added"))
    await step("add a file", every(client.add(os.path.join(root, "one"))))
    await step("add wrapped", every(client.add(os.path.join(root, "one"), wrap_with_directory=True)))
    added = await step("add a tree", every(client.add(root, recursive=True)), ordered)
    await step("add with a bad chunker", client.add_bytes(b"x", chunker="nothing"))
    return hello["Hash"], {entry["Name"]: entry["Hash"] for entry in added}


async def reading(client, names):
    tree, big = names["tree"], names["tree/sub/two"]
    await step("cat", client.cat(big))
    await step("cat a range", client.cat(big, offset=262_140, length=10))
    await step("cat a path", client.cat(f"/ipfs/{tree}/one"))
    await step("cat a directory", client.cat(tree))
    await step("cat nonsense", client.cat("nonsense"))

    async def get():
        target = os.path.join(place, "got")
        os.makedirs(target)
        await client.get(tree, dstdir=target)
        found = []
        for folder, _, files in os.walk(target):
            for name in files:
                path = os.path.join(folder, name)
                with open(path, "rb") as got:
                    found.append((os.path.relpath(path, target), got.read()))
        return sorted(found)

    await step("get", get())
    await step("ls", client.ls(tree))
    await step("ls with headers", client.ls(tree, headers=True))
    await step("refs", every(client.refs.refs(tree)))
    await step("refs recursive", every(client.refs.refs(tree, recursive=True, unique=True)))
    await step("refs local", every(client.refs.local()), lambda found: len(found) > 5)


async def blocks(client, names):
    tree = names["tree"]
    path = os.path.join(place, "block")
    with open(path, "wb") as file:
        file.write(b"a block")
    node = os.path.join(place, "node")
    with open(node, "w") as file:
        file.write('{"a": 1, "list": [1, "x", null]}')
    block = await step("block put", client.block.put(path))
    key = (block or {}).get("Key", tree)
    await step("block get", client.block.get(key))
    await step("block stat", client.block.stat(key))
    await step("block rm", client.block.rm(key))
    await step("block rm again", client.block.rm(key))
    await step("block rm force", client.block.rm(key, force=True))
    made = await step("dag put", client.dag.put(node))
    cid = ((made or {}).get("Cid") or {}).get("/", tree)
    await step("dag get", client.dag.get(cid))
    await step("dag get a path", client.dag.get(f"{cid}/list"))
    await step("dag get what is not there", client.dag.get(f"{cid}/none"))
    await step("dag resolve", client.dag.resolve(f"{cid}/list/1"))
    await step("dag stat", every(client.dag.stat(tree, progress=False)))
    car = await step("dag export", client.dag.car_export(tree))
    if isinstance(car, bytes):
        await step("dag import", client.dag.car_import(car, stats=False))
    await step("cid base32", client.cid.base32(tree))
    await step("cid format", client.cid.format(tree, version=1, multibase="base36"))
    await step("cid bases", client.cid.bases(prefix=True, numeric=True), ordered)
    await step("cid hashes", client.cid.hashes(numeric=True), ordered)
    await step("multibase list", client.multibase.list(), ordered)
    await step("multibase encode", client.multibase.encode(path))


async def pins(client, names):
    tree, big = names["tree"], names["tree/sub/two"]
    await step("pin add", every(client.pin.add(tree, name="a tree")), lambda said: said[-1])
    await step("pin add direct", every(client.pin.add(f"/ipfs/{tree}/one", recursive=False)), lambda said: said[-1])
    await step("pin ls", client.pin.ls(), ordered)
    await step("pin ls names", client.pin.ls(names=True, pintype="recursive"), ordered)
    await step("pin ls of one", client.pin.ls(path=tree))
    await step("pin verify", client.pin.verify(verbose=False))
    await step("pin update", client.pin.update(tree, big))
    await step("pin rm", client.pin.rm(big))
    await step("pin rm again", client.pin.rm(big))


async def files(client, names, large):
    tree = names["tree"]
    await step("files mkdir", client.files.mkdir("/aio"))
    await step("files mkdir again", client.files.mkdir("/aio"))
    await step("files mkdir parents", client.files.mkdir("/aio/a/b", parents=True, cid_version=1))
    await step("files write", client.files.write("/aio/f", b"content", create=True))
    await step("files write at an offset", client.files.write("/aio/f", b"XY", offset=3))
    await step("files write truncated", client.files.write("/aio/f", large, truncate=True))
    await step("files write without create", client.files.write("/aio/none", b"x"))
    await step("files read", client.files.read("/aio/f"))
    await step("files read a range", client.files.read("/aio/f", offset=5, count=7))
    await step("files cp", client.files.cp("/aio/f", "/aio/g"))
    await step("files cp from ipfs", client.files.cp(f"/ipfs/{tree}", "/aio/tree"))
    await step("files mv", client.files.mv("/aio/g", "/aio/a/h"))
    await step("files ls", client.files.ls("/aio", long=True))
    await step("files stat", client.files.stat("/aio"))
    await step("files stat with local", client.files.stat("/aio/f", with_local=True))
    await step("files stat of what is not there", client.files.stat("/none"))
    await step("files chcid", client.files.chcid("/aio", 1))
    await step("files flush", client.files.flush("/aio"))
    await step("files rm", client.files.rm("/aio/f"))
    await step("files rm a directory", client.files.rm("/aio/a"))
    await step("files rm recursive", client.files.rm("/aio/a", recursive=True))
    await step("files stat after", client.files.stat("/"))


async def keys(client, hello):
    await step("key gen", client.key.gen("aio"), shape)
    await step("key gen rsa", client.key.gen("aio-rsa", type="rsa"), shape)
    await step("key gen again", client.key.gen("aio"))
    await step("key list", client.key.list(), lambda said: [key["Name"] for key in said["Keys"]])
    await step("key rename", client.key.rename("aio-rsa", "renamed"), shape)
    await step("key rm", client.key.rm("renamed"), shape)
    await step("key rm again", client.key.rm("renamed"))
    await step("name publish", client.name.publish(f"/ipfs/{hello}", allow_offline=True))
    await step("name resolve", client.name.resolve())
    await step("name resolve as stream", every(client.name.resolve_stream()))


async def network(client):
    await step("id", client.id(), shape)
    await step("version", client.version(), lambda said: shape(said["Version"]))
    await step("commands", client.commands(), lambda said: sorted(said))
    await step("config", client.config.config("Discovery"))
    await step("config set", client.config.config("Aio.Test", value="7", json=True))
    await step("config show", client.config.show(), lambda said: len(said) > 10)
    await step("bootstrap list", client.bootstrap.list())
    await step("bootstrap add", client.bootstrap.add(partner))
    await step("bootstrap rm", client.bootstrap.rm(partner))
    await step("swarm connect", client.swarm.connect(partner))
    await step("swarm peers", client.swarm.peers(), lambda said: [peer["Peer"] for peer in said["Peers"]])
    await step("swarm addrs", client.swarm.addrs(), lambda said: partner_id in said["Addrs"])
    await step("swarm local", client.swarm.addrs_local(), lambda said: len(said["Strings"]) > 0)
    await step("swarm peering", client.swarm.peering.ls())
    await step("ping", every(client.ping(partner_id, count=2)), lambda said: len(said) > 2)
    await step("bitswap stat", client.bitswap.stat(), lambda said: shape({**said, "Peers": []}))
    await step("bitswap wantlist", client.bitswap.wantlist())
    await step("stats bw", client.stats.bw(), shape)
    await step("stats repo", client.stats.repo(), shape)
    await step("repo version", client.repo.version(), shape)
    await step("swarm listen", client.swarm.addrs_listen(), lambda said: len(said["Strings"]) > 0)


async def messages(client):
    """A node hears its own."""

    async def heard():
        async for message in client.pubsub.sub("aio topic"):
            return message

    async def talk():
        listening = asyncio.ensure_future(heard())
        while not listening.done():
            await client.pubsub.pub("aio topic", b"\x00\n\xff data")
            await asyncio.sleep(0.05)
        message = listening.result()
        return {name: str(message[name]) for name in sorted(message) if name != "seqno"}

    await step("pubsub", talk())


async def garbage(client, large):
    """Garbage while more is added."""

    async def add():
        return [(await client.add_bytes(large[at:]))["Hash"] for at in range(20)]

    async def collect():
        for _ in range(3):
            await every(client.repo.gc())

    async def both():
        kept, _ = await asyncio.gather(add(), collect())
        return kept, [len(await client.cat(cid)) for cid in kept]

    await step("gc while adding", both())


async def main():
    large = noise(300_000)
    root = os.path.join(place, "tree")
    os.makedirs(os.path.join(root, "sub"))
    with open(os.path.join(root, "one"), "w") as file:
        file.write("one")
    with open(os.path.join(root, "sub", "two"), "wb") as file:
        file.write(large)
    async with aioipfs.AsyncIPFS(maddr=f"/ip4/127.0.0.1/tcp/{port}") as client:
        hello, names = await adding(client, root, large)
        await reading(client, names)
        await blocks(client, names)
        await pins(client, names)
        await files(client, names, large)
        await keys(client, hello)
        await network(client)
        await messages(client)
        await garbage(client, large)


asyncio.run(main())
