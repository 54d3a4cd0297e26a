// What kubo-rpc-client gets from a daemon, one JSON object a line, so that two daemons can be compared.
//
// usage: node client.js http://127.0.0.1:PORT ADDRESS-OF-ANOTHER-NODE

import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { create } from 'kubo-rpc-client'

const [api, partner] = process.argv.slice(2)
const ipfs = create({ url: `${api}/api/v0`, timeout: 30_000 })
const partnerId = partner.split('/').pop()

// Bytes that repeat late.
function noise (length) {
  const bytes = new Uint8Array(length)
  let state = 88172645
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

function plain (value) {
  if (value == null || ['string', 'number', 'boolean'].includes(typeof value)) return value
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) {
    return { bytes: value.length, sha256: createHash('sha256').update(value).digest('hex') }
  }
  const cid = CID.asCID(value)
  if (cid != null) return cid.toString()
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Map) return plain(Object.fromEntries(value))
  if (typeof value.toJSON === 'function' || typeof value.toCID === 'function') return value.toString()
  if (value.constructor !== Object && value.constructor != null) {
    return value.toString === Object.prototype.toString ? plain({ ...value }) : value.toString()
  }
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
}

// Names and types only, for what no two nodes have the same.
function shape (value) {
  if (Array.isArray(value)) return value.length > 0 ? [shape(value[0])] : []
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shape(inner)]))
  }
  return value === null ? null : typeof value
}

async function all (source) {
  const items = []
  for await (const item of source) items.push(item)
  return items
}

async function whole (source) {
  return new Uint8Array(Buffer.concat(await all(source)))
}

async function step (name, run, look = plain) {
  let result
  let kept
  try {
    kept = await run()
    result = look(plain(kept))
  } catch (error) {
    result = { error: error.name, message: error.message }
  }
  console.log(JSON.stringify({ step: name, result }))
  return kept
}

const sorted = list => [...list].sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
const large = noise(700_000)
const text = words => new TextEncoder().encode(words)

// Adding.
const file = await step('add bytes', () => ipfs.add(text('hello from js\n')))
await step('add text', () => ipfs.add('hello from js\n'))
await step('add cidv1', () => ipfs.add(large, { cidVersion: 1 }))
const big = await step('add large', () => ipfs.add(large, { chunker: 'size-100000', rawLeaves: true }))
await step('add a stream', () => ipfs.add((async function * () {
  for (let at = 0; at < large.length; at += 70_001) yield large.subarray(at, at + 70_001)
})()))
await step('add only the hash', () => ipfs.add('never kept', { onlyHash: true }))
await step('add trickle', () => ipfs.add(large, { trickle: true }))
await step('add with blake2b', () => ipfs.add(large, { hashAlg: 'blake2b-256' }))
await step('add mode and mtime', () => ipfs.add({ path: 'f', content: text('m'), mode: 0o640, mtime: new Date(1700000000000) }))
await step('add in a folder', () => ipfs.add({ path: 'a b/ü.txt', content: 'named' }, { wrapWithDirectory: true }))
const folder = await step('add a directory', () => all(ipfs.addAll([
  { path: 'dir/one', content: 'one' },
  { path: 'dir/sub/two', content: 'two' },
  { path: 'dir/sub/three', content: large },
  { path: 'dir/empty' }
])))
const root = folder.at(-1).cid
await step('add with progress', async () => {
  const seen = []
  const added = await ipfs.add(large, { progress: bytes => seen.push(bytes) })
  return [added, seen.at(-1)]
})
await step('add with a bad chunker', () => ipfs.add('x', { chunker: 'nothing' }))
await step('add with a bad hash', () => ipfs.add('x', { hashAlg: 'nothing' }))

// Reading.
await step('cat', () => whole(ipfs.cat(big.cid)))
await step('cat a range', () => whole(ipfs.cat(big.cid, { offset: 99_990, length: 20 })))
await step('cat the end', () => whole(ipfs.cat(big.cid, { offset: 699_990 })))
await step('cat nothing', () => whole(ipfs.cat(big.cid, { offset: 700_000 })))
await step('cat behind the end', () => whole(ipfs.cat(big.cid, { offset: 700_001 })))
await step('cat a path', () => whole(ipfs.cat(`/ipfs/${root}/sub/two`)))
await step('cat a directory', () => whole(ipfs.cat(root)))
await step('cat what is not there', () => whole(ipfs.cat(`/ipfs/${root}/none`)))
await step('get', () => whole(ipfs.get(file.cid)), got => got.bytes % 512)
await step('get a tree', () => whole(ipfs.get(root)), got => got.bytes > 700_000)
await step('get compressed', () => whole(ipfs.get(root, { archive: true, compress: true, compressionLevel: 6 })), got => got.bytes > 0)
await step('ls', () => all(ipfs.ls(root)))
await step('ls below', () => all(ipfs.ls(`/ipfs/${root}/sub`)))
await step('ls a file', () => all(ipfs.ls(file.cid)))
await step('refs', () => all(ipfs.refs(root)))
await step('refs recursive', () => all(ipfs.refs(root, { recursive: true, unique: true })))
await step('refs with edges', () => all(ipfs.refs(root, { edges: true })))
await step('refs local', async () => (await all(ipfs.refs.local())).some(ref => ref.ref.length > 40))
await step('resolve', () => ipfs.resolve(`/ipfs/${root}/sub/two`))

// Blocks and nodes.
const block = await step('block put', () => ipfs.block.put(text('a block')))
await step('block put dag-pb', () => ipfs.block.put(Uint8Array.from([10, 2, 8, 1]), { format: 'dag-pb', version: 0 }))
await step('block put with a bad hash', () => ipfs.block.put(text('x'), { mhtype: 'nothing' }))
await step('block get', () => ipfs.block.get(block))
await step('block stat', () => ipfs.block.stat(block))
await step('block rm', () => all(ipfs.block.rm(block)))
await step('block rm again', () => all(ipfs.block.rm(block)))
await step('block rm force', () => all(ipfs.block.rm(block, { force: true })))
await step('block rm pinned', () => all(ipfs.block.rm(file.cid)))
await step('block get what is gone', () => ipfs.block.get(block, { timeout: 500 }).then(() => 'found', () => 'gone'))
const node = await step('dag put', () => ipfs.dag.put({ a: 1, list: [1, 'x', null], link: root }))
await step('dag put dag-json', () => ipfs.dag.put({ b: [true] }, { storeCodec: 'dag-json' }))
await step('dag put pinned', () => ipfs.dag.put({ pinned: 1 }, { pin: true }))
await step('dag get', () => ipfs.dag.get(node))
await step('dag get a path', () => ipfs.dag.get(node, { path: '/list/1' }))
await step('dag get through a link', () => ipfs.dag.get(node, { path: '/link/sub' }))
await step('dag get what is not there', () => ipfs.dag.get(node, { path: '/none' }))
await step('dag resolve', () => ipfs.dag.resolve(`/ipfs/${node}/link/sub/two`))
const car = await step('dag export', () => whole(ipfs.dag.export(node)))
await step('dag import', () => all(ipfs.dag.import((async function * () { yield car })())))
await step('dag import without pins', () => all(ipfs.dag.import((async function * () { yield car })(), { pinRoots: false })))
await step('dag import nonsense', () => all(ipfs.dag.import((async function * () { yield text('nonsense') })())))

// Pins.
await step('pin add', () => ipfs.pin.add(root, { name: 'a folder' }))
await step('pin add direct', () => ipfs.pin.add(node, { recursive: false }))
await step('pin add what is not there', () => ipfs.pin.add(`/ipfs/${root}/none`))
await step('pin add all', () => all(ipfs.pin.addAll([file.cid, big.cid])))
await step('pin ls', async () => sorted(plain(await all(ipfs.pin.ls()))))
await step('pin ls names', async () => sorted(plain(await all(ipfs.pin.ls({ names: true, type: 'recursive' })))))
await step('pin ls by name', () => all(ipfs.pin.ls({ name: 'a folder' })))
await step('pin ls of one', () => all(ipfs.pin.ls({ paths: [root] })))
await step('pin ls direct', () => all(ipfs.pin.ls({ type: 'direct' })))
await step('pin ls indirect', async () => sorted(plain(await all(ipfs.pin.ls({ type: 'indirect' })))))
await step('pin update', () => ipfs.pin.update?.(big.cid, file.cid))
await step('pin rm', () => ipfs.pin.rm(root))
await step('pin rm again', () => ipfs.pin.rm(root))
await step('pin rm all', () => all(ipfs.pin.rmAll([{ path: node, recursive: false }])))

// Files.
await step('files mkdir', () => ipfs.files.mkdir('/js'))
await step('files mkdir again', () => ipfs.files.mkdir('/js'))
await step('files mkdir parents', () => ipfs.files.mkdir('/js/a/b', { parents: true, cidVersion: 1 }))
await step('files write', () => ipfs.files.write('/js/f', text('content'), { create: true }))
await step('files write a stream', () => ipfs.files.write('/js/large', (async function * () { yield large })(), { create: true, parents: true, rawLeaves: true }))
await step('files write at an offset', () => ipfs.files.write('/js/f', text('XY'), { offset: 3 }))
await step('files write truncated', () => ipfs.files.write('/js/f', text('short'), { truncate: true }))
await step('files write without create', () => ipfs.files.write('/js/none', text('x')))
await step('files write with mode', () => ipfs.files.write('/js/mode', text('x'), { create: true, mode: 0o755, mtime: { secs: 1700000000 } }))
await step('files read', () => whole(ipfs.files.read('/js/f')))
await step('files read a range', () => whole(ipfs.files.read('/js/large', { offset: 300_000, length: 10 })))
await step('files read what is not there', () => whole(ipfs.files.read('/js/none')))
await step('files cp', () => ipfs.files.cp('/js/f', '/js/g'))
await step('files cp from ipfs', () => ipfs.files.cp(`/ipfs/${root}`, '/js/folder'))
await step('files cp again', () => ipfs.files.cp(`/ipfs/${root}`, '/js/folder'))
await step('files mv', () => ipfs.files.mv('/js/g', '/js/a/h'))
await step('files ls', () => all(ipfs.files.ls('/js')))
await step('files stat', () => ipfs.files.stat('/js'))
await step('files stat of a file', () => ipfs.files.stat('/js/f'))
await step('files stat with local', () => ipfs.files.stat('/js/large', { withLocal: true }))
await step('files stat of what is not there', () => ipfs.files.stat('/js/none'))
await step('files flush', () => ipfs.files.flush('/js'))
await step('files rm', () => ipfs.files.rm('/js/f'))
await step('files rm a directory', () => ipfs.files.rm('/js/a'))
await step('files rm recursive', () => ipfs.files.rm('/js/a', { recursive: true }))
await step('files stat after', () => ipfs.files.stat('/'))

// Keys and names.
await step('key gen', () => ipfs.key.gen('js', { type: 'ed25519' }), shape)
await step('key gen rsa', () => ipfs.key.gen('js-rsa', { type: 'rsa', size: 2048 }), shape)
await step('key gen again', () => ipfs.key.gen('js', { type: 'ed25519' }))
await step('key list', async () => (await ipfs.key.list()).map(key => key.name))
await step('key rename', () => ipfs.key.rename('js-rsa', 'renamed'), shape)
await step('key rm', () => ipfs.key.rm('renamed'), shape)
await step('key rm again', () => ipfs.key.rm('renamed'))
await step('name publish', () => ipfs.name.publish(file.cid, { allowOffline: true, lifetime: '1h', ttl: '1m' }))
await step('name publish with a key', async () => (await ipfs.name.publish(file.cid, { allowOffline: true, key: 'js' })).value)
await step('name publish with no key', () => ipfs.name.publish(file.cid, { allowOffline: true, key: 'none' }))
const self = (await ipfs.id()).id.toString()
await step('name resolve', () => all(ipfs.name.resolve(`/ipns/${self}`)))

// The node and its peers.
await step('id', () => ipfs.id(), shape)
await step('version', async () => typeof (await ipfs.version()).version)
await step('config get', () => ipfs.config.get('Routing'))
await step('config set', () => ipfs.config.set('Js.Test', [1, 'two']))
await step('config get of it', () => ipfs.config.get('Discovery.MDNS'))
await step('config get nothing', () => ipfs.config.get('Js.None'))
await step('bootstrap list', () => ipfs.bootstrap.list())
await step('bootstrap add', () => ipfs.bootstrap.add(partner))
await step('bootstrap rm', () => ipfs.bootstrap.rm(partner))
await step('swarm connect', () => ipfs.swarm.connect(partner))
await step('swarm connect badly', () => ipfs.swarm.connect('/ip4/127.0.0.1/tcp/1').then(() => 'connected', error => error.name))
await step('swarm peers', async () => (await ipfs.swarm.peers()).map(peer => peer.peer))
await step('swarm addrs', async () => (await ipfs.swarm.addrs()).filter(peer => peer.id.toString() === partnerId).length)
await step('swarm local addrs', async () => (await ipfs.swarm.localAddrs()).length > 0)
await step('ping', async () => (await all(ipfs.ping(partnerId, { count: 2 }))).length > 2)
await step('bitswap stat', () => ipfs.bitswap.stat(), stat => shape({ ...stat, peers: [] }))
await step('bitswap wantlist', () => ipfs.bitswap.wantlist())
await step('stats repo', () => ipfs.stats.repo(), shape)
await step('stats bw', () => all(ipfs.stats.bw()), shape)
await step('repo stat', () => ipfs.repo.stat(), shape)
await step('repo version', async () => typeof await ipfs.repo.version())
await step('is online', () => ipfs.isOnline())

// Messages: a node hears its own.
await step('pubsub', async () => {
  const heard = []
  const topic = 'js topic'
  const handler = message => heard.push(message)
  await ipfs.pubsub.subscribe(topic, handler)
  const topics = await ipfs.pubsub.ls()
  for (let at = 0; at < 100 && heard.length === 0; at++) {
    await ipfs.pubsub.publish(topic, Uint8Array.from([0, 10, 255, 128]))
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  const peers = await ipfs.pubsub.peers(topic)
  await ipfs.pubsub.unsubscribe(topic, handler)
  const { data, topic: told, from } = heard[0]
  return { topics, peers, data, told, from, more: Object.keys(heard[0]).sort() }
})

// Garbage while more is added.
await step('gc while adding', async () => {
  const kept = []
  const adding = (async () => {
    for (let at = 0; at < 40; at++) {
      const added = await ipfs.add(noise(300_000 + at))
      kept.push(added.cid)
    }
  })()
  const collecting = (async () => {
    for (let at = 0; at < 4; at++) await all(ipfs.repo.gc())
  })()
  await Promise.all([adding, collecting])
  const sizes = await Promise.all(kept.map(async cid => (await whole(ipfs.cat(cid))).length))
  return { kept, sizes }
})
await step('gc', async () => (await all(ipfs.repo.gc())).every(removed => removed.cid != null))
process.exit(0)
