// A Helia node that a test drives: a line on stdin is a command with its arguments as JSON, a line
// on stdout is the answer. It ends with its stdin.

import { createInterface } from 'node:readline'
import { readFile, writeFile } from 'node:fs/promises'
import { createHeliaLight } from 'helia'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { ipns } from '@helia/ipns'
import { unixfs } from '@helia/unixfs'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'

const TIMEOUT = 20_000

const helia = withBitswap(withLibp2pLight(createHeliaLight(), {
  addresses: { listen: [process.argv[2]] },
  transports: [tcp(), webSockets()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  // Loopback is where the tests are.
  connectionGater: { denyDialMultiaddr: () => false },
  services: {
    identify: identify(),
    dht: kadDHT({
      protocol: '/ipfs/lan/kad/1.0.0',
      clientMode: false,
      peerInfoMapper: passthroughMapper
    }),
    ping: ping()
  }
}))
await helia.start()
const files = unixfs(helia)
const names = ipns(helia)

const signal = () => AbortSignal.timeout(TIMEOUT)

const commands = {
  id: async () => ({
    id: helia.libp2p.peerId.toString(),
    addresses: helia.libp2p.getMultiaddrs().map(String)
  }),
  connect: async (address) => {
    await helia.libp2p.dial(multiaddr(address), { signal: signal() })
    return {}
  },
  add: async (path) => ({ cid: (await files.addBytes(await readFile(path))).toString() }),
  get: async (cid, path) => {
    const pieces = []
    for await (const piece of files.cat(CID.parse(cid), { signal: signal() })) {
      pieces.push(piece)
    }
    await writeFile(path, Buffer.concat(pieces))
    return {}
  },
  provide: async (cid) => {
    await helia.libp2p.contentRouting.provide(CID.parse(cid), { signal: signal() })
    return {}
  },
  findprovs: async (cid) => {
    const found = []
    for await (const provider of helia.libp2p.contentRouting.findProviders(CID.parse(cid), { signal: signal() })) {
      found.push(provider.id.toString())
    }
    return { found }
  },
  publish: async (key, cid) => {
    const { name } = await names.publish(key, CID.parse(cid), { signal: signal() })
    return { name }
  },
  resolve: async (name) => {
    for await (const { value } of names.resolve(name, { signal: signal() })) {
      return { value }
    }
    return { error: 'nothing was resolved' }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line)
  let answer
  try {
    answer = await commands[name](...args)
  } catch (error) {
    answer = { error: String(error.stack ?? error) }
  }
  console.log(JSON.stringify(answer))
}
await helia.stop()
process.exit(0)
