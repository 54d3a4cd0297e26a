#!/bin/bash
# What Kubo's own command line gets from a daemon.
#
# usage: cli.sh IPFS-BINARY PORT ADDRESS-OF-ANOTHER-NODE PLACE-FOR-FILES

binary=$1 port=$2 partner=$3 place=$4
. "$(dirname "$0")/steps.sh"
make_tree
cd "$place" || exit 1
# Its own repo is never used: the daemon that is named does the work.
export IPFS_PATH=$place/none IPFS_TELEMETRY=off
ipfs() { "$binary" --api="/ip4/127.0.0.1/tcp/$port" "$@"; }
export -f ipfs
export binary port place

# Adding.
step 'add' ipfs add --progress=false tree/one
step 'add a stream' bash -c 'cat tree/sub/two | ipfs add --progress=false'
step 'add a tree' ipfs add --progress=false -r tree
step 'add quieter' ipfs add -Qr tree
step 'add cidv1' ipfs add -Q --cid-version=1 tree/sub/two
step 'add raw leaves' ipfs add -Q --raw-leaves --chunker=size-1000 tree/sub/two
step 'add wrapped' ipfs add --progress=false -w tree/one
step 'add only the hash' ipfs add -Q -n tree/one
step 'add with mode' ipfs add -Q --preserve-mode tree/one
step 'add with a name' ipfs add -Q --pin-name=named tree/one
step 'add what is not there' ipfs add nothing
root=$(ipfs add -Qr tree)
big=$(ipfs add -Q tree/sub/two)
small=$(ipfs add -Q tree/one)

# Reading.
hashed 'cat' ipfs cat "$big"
step 'cat a range' ipfs cat --offset=0 --length=2 "$small"
hashed 'cat the middle' ipfs cat --offset=262140 --length=10 "$big"
step 'cat a path' ipfs cat "$root/sub/a b+c%d"
step 'cat a directory' ipfs cat "$root"
step 'cat what is not there' ipfs cat "$root/none"
step 'cat nonsense' ipfs cat nonsense
silent 'get' ipfs get -o got "$root"
step 'what was got' bash -c 'cd got && find . | sort && sha256sum one sub/two && readlink link'
silent 'get a compressed archive' ipfs get -aC -o got.tar.gz "$root"
step 'what was in it' bash -o pipefail -c 'tar tzf got.tar.gz | cut -d/ -f2- | sort'
step 'ls' ipfs ls "$root"
step 'ls with headers' ipfs ls -v "$root"
step 'ls without sizes' ipfs ls --size=false --resolve-type=false "$root"
step 'ls as stream' ipfs ls -s "$root/sub"
step 'refs' ipfs refs "$root"
step 'refs recursive' ipfs refs -r -u "$root"
step 'refs with edges' ipfs refs -r -e "$root"
step 'resolve' ipfs resolve "/ipfs/$root/sub/two"

# Blocks and nodes.
step 'block put' bash -c 'printf block | ipfs block put'
step 'block stat' ipfs block stat "$small"
hashed 'block get' ipfs block get "$small"
step 'block rm pinned' ipfs block rm "$small"
step 'block rm' ipfs block rm "$(printf block | ipfs block put)"
step 'block rm again' ipfs block rm bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku
step 'dag put' bash -c 'printf "{\"a\":[1,null]}" | ipfs dag put'
node=$(printf '{"a":[1,null]}' | ipfs dag put)
step 'dag get' ipfs dag get "$node"
step 'dag get a path' ipfs dag get "$node/a/0"
step 'dag get what is not there' ipfs dag get "$node/none"
step 'dag resolve' ipfs dag resolve "$node/a"
step 'dag stat' ipfs dag stat --progress=false "$root"
step 'dag stat of two' ipfs dag stat --progress=false "$root" "$big"
ipfs dag export --progress=false "$root" >tree.car
step 'dag export' bash -c 'test -s tree.car && head -c 59 tree.car | sha256sum'
step 'dag import' ipfs dag import --stats tree.car
step 'dag import without pins' ipfs dag import --pin-roots=false tree.car
step 'dag import nonsense' ipfs dag import tree/one

# Pins.
step 'pin add' ipfs pin add --progress=false --name='a tree' "$root"
step 'pin add direct' ipfs pin add -r=false "/ipfs/$root/sub"
step 'pin add what is not there' ipfs pin add "/ipfs/$root/none"
unordered 'pin ls' ipfs pin ls
unordered 'pin ls with names' ipfs pin ls --names --type=recursive
unordered 'pin ls as stream' ipfs pin ls -s --type=direct
step 'pin ls of one' ipfs pin ls "$root"
step 'pin ls of none' ipfs pin ls "$node"
unordered 'pin verify' ipfs pin verify --verbose
step 'pin update' ipfs pin update "$root" "$node"
step 'pin rm' ipfs pin rm "$node"
step 'pin rm again' ipfs pin rm "$node"

# Files.
step 'files mkdir' ipfs files mkdir /cli
step 'files mkdir again' ipfs files mkdir /cli
step 'files mkdir parents' ipfs files mkdir -p --cid-version=1 /cli/a/b
step 'files write' ipfs files write --create /cli/f tree/one
step 'files write a stream' bash -c 'cat tree/sub/two | ipfs files write -e /cli/large'
step 'files write at an offset' bash -c 'printf XY | ipfs files write -o 1 /cli/f'
step 'files write without create' ipfs files write /cli/none tree/one
step 'files read' ipfs files read /cli/f
hashed 'files read a range' ipfs files read -o 300000 -n 100 /cli/large
step 'files cp' ipfs files cp /cli/f /cli/g
step 'files cp from ipfs' ipfs files cp "/ipfs/$root" /cli/tree
step 'files cp again' ipfs files cp "/ipfs/$root" /cli/tree
step 'files mv' ipfs files mv /cli/g /cli/a/h
step 'files ls' ipfs files ls /cli
step 'files ls long' ipfs files ls -l /cli
step 'files stat' ipfs files stat /cli
step 'files stat formatted' ipfs files stat --format='<hash> <size> <type>' /cli/large
step 'files stat with local' ipfs files stat --with-local /cli/large
step 'files stat of what is not there' ipfs files stat /none
step 'files chmod' ipfs files chmod 0600 /cli/f
step 'files touch' ipfs files touch --mtime=1700000000 /cli/f
step 'files stat after' ipfs files stat /cli/f
step 'files chcid' ipfs files chcid --cid-version=1 /cli
step 'files flush' ipfs files flush /cli
step 'files rm' ipfs files rm /cli/f
step 'files rm a directory' ipfs files rm /cli/a
step 'files rm recursive' ipfs files rm -r /cli/a
step 'files stat of all' ipfs files stat --hash /

# Keys and names.
silent 'key gen' ipfs key gen cli
silent 'key gen rsa' ipfs key gen --type=rsa --size=2048 cli-rsa
step 'key gen again' ipfs key gen cli
step 'key list' ipfs key list
silent 'key rename' ipfs key rename cli-rsa renamed
silent 'key rm' ipfs key rm renamed
step 'key rm again' ipfs key rm renamed
step 'name publish' ipfs name publish --allow-offline "/ipfs/$small"
step 'name publish quietly' ipfs name publish --allow-offline -Q "/ipfs/$root"
step 'name resolve' ipfs name resolve
step 'name resolve with no key' ipfs name publish --allow-offline -k none "/ipfs/$small"

# The node and its peers.
silent 'id' ipfs id
step 'id formatted' ipfs id -f '<id>\n'
step 'config' ipfs config Discovery.MDNS.Enabled
step 'config set' ipfs config --json Cli.Test '[1]'
step 'config of nothing' ipfs config Cli.None.At.All
step 'bootstrap list' ipfs bootstrap list
step 'bootstrap add' ipfs bootstrap add "$partner"
step 'bootstrap rm' ipfs bootstrap rm "$partner"
step 'swarm connect' ipfs swarm connect "$partner"
step 'swarm peers' bash -o pipefail -c 'ipfs swarm peers | grep -o "p2p/.*"'
silent 'swarm addrs' ipfs swarm addrs
silent 'swarm addrs local' ipfs swarm addrs local
step 'swarm filters' ipfs swarm filters add /ip4/10.0.0.0/ipcidr/8
step 'swarm filters rm' ipfs swarm filters rm all
step 'swarm peering' ipfs swarm peering ls
silent 'ping' ipfs ping -n 1 "${partner##*/}"
step 'bitswap wantlist' ipfs bitswap wantlist
silent 'bitswap stat' ipfs bitswap stat
silent 'stats bw' ipfs stats bw
silent 'repo stat' ipfs repo stat
silent 'repo version' ipfs repo version
step 'cid format' ipfs cid format -v 1 -b base32 "$small"
step 'multibase encode' bash -c 'printf text | ipfs multibase encode'

# Messages: a node hears its own.
heard() {
  ipfs pubsub sub 'cli topic' >"$place/heard" &
  local listening=$!
  for _ in $(seq 200); do
    printf 'a message' | ipfs pubsub pub 'cli topic'
    [ -s "$place/heard" ] && break
    sleep 0.05
  done
  ipfs pubsub ls
  kill "$listening"
  wait "$listening" 2>/dev/null
  head -c 9 "$place/heard"
}
step 'pubsub' heard

# Garbage while more is added.
collected() {
  (for at in 1 2 3 4 5 6; do noise $((300000 + at)) | ipfs add -Q; done >"$place/kept") &
  local adding=$!
  for _ in 1 2 3; do ipfs repo gc -q >/dev/null || return 1; done
  wait "$adding" || return 1
  cat "$place/kept"
  while read -r cid; do ipfs cat "$cid" | wc -c; done <"$place/kept"
}
step 'gc while adding' collected
silent 'gc' ipfs repo gc
step 'refs local after' bash -o pipefail -c 'ipfs refs local | grep -c . | sed "s/.*/some/"'
