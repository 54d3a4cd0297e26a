#!/bin/bash
# What curl gets from a daemon: bodies, statuses and the headers that clients look at.
#
# usage: curl.sh PORT ADDRESS-OF-ANOTHER-NODE PLACE-FOR-FILES

port=$1 partner=$2 place=$3
. "$(dirname "$0")/steps.sh"
make_tree
cd "$place" || exit 1
export port place

# call PATH [OPTIONS...]: the body, then the status and headers.
call() {
  local path=$1
  shift
  curl --silent --show-error --globoff --max-time 30 -X POST -D "$place/head" "$@" "http://127.0.0.1:$port/api/v0/$path"
  local code=$?
  printf '\n'
  tr -d '\r' <"$place/head" | grep -iE '^(HTTP/|content-type|x-stream-output|x-chunked-output|x-content-length|trailer|x-stream-error|allow|access-control)' | sort
  return $code
}
export -f call
quiet() { call "$@" | head -n 1; }
hash_of() { sed -n 's/.*"Hash":"\([^"]*\)".*/\1/p' | tail -n 1; }

# Adding.
step 'add' call add -F file=@tree/one
step 'add a stream' call add -H 'Transfer-Encoding: chunked' -F 'file=@-;filename=streamed' <tree/sub/two
step 'add a tree' call 'add?pin=false' \
  -F 'file=@/dev/null;filename=tree;type=application/x-directory' \
  -F 'file=@tree/one;filename=tree%2Fone;type=application/octet-stream' \
  -F 'file=@/dev/null;filename=tree%2Fsub;type=application/x-directory' \
  -F 'file=@tree/sub/two;filename=tree%2Fsub%2Ftwo;type=application/octet-stream' \
  -F 'file=sub/two;filename=tree%2Flink;type=application/symlink'
step 'add wrapped' call 'add?wrap-with-directory=true&cid-version=1' -F 'file=@tree/sub/two;filename=deep%2Fin%2Fit'
step 'add with progress' call 'add?progress=true' -F file=@tree/sub/two
step 'add nothing' call add
step 'add with a bad option' call 'add?pin=maybe' -F file=@tree/one
root=$(call 'add?pin=false' -F 'file=@tree/one;filename=t%2Fone' -F 'file=@tree/sub/two;filename=t%2Ftwo' | hash_of)
small=$(call add -F file=@tree/one | hash_of)
big=$(call add -F file=@tree/sub/two | hash_of)

# Reading.
hashed 'cat' quiet "cat?arg=$big"
step 'cat a range' call "cat?arg=$small&offset=1&length=1"
step 'cat a directory' call "cat?arg=$root"
step 'cat nonsense' call 'cat?arg=nonsense'
step 'cat nothing' call cat
step 'get' bash -o pipefail -c 'curl -s -X POST "http://127.0.0.1:$port/api/v0/get?arg=$0" | tar tf - | sort' "$root"
step 'get compressed' bash -o pipefail -c 'curl -s -X POST "http://127.0.0.1:$port/api/v0/get?arg=$0&archive=true&compress=true" | tar tzf - | sort' "$root"
step 'ls' call "ls?arg=$root"
step 'ls as stream' call "ls?arg=$root&stream=true"
step 'refs' call "refs?arg=$root&recursive=true"
step 'resolve' call "resolve?arg=/ipfs/$root/one"

# Blocks and nodes.
step 'block put' call block/put -F data=@tree/one
step 'block stat' call "block/stat?arg=$small"
step 'block get' call "block/get?arg=$small"
step 'block rm pinned' call "block/rm?arg=$small"
printf '{"a":[1,{"/":"%s"}]}' "$root" >node
step 'dag put' call dag/put -F data=@node
node=$(call dag/put -F data=@node | sed -n 's/.*"\/":"\([^"]*\)".*/\1/p')
step 'dag get' call "dag/get?arg=$node"
step 'dag get through a link' call "dag/get?arg=$node/a/1"
step 'dag resolve' call "dag/resolve?arg=$node/a/1/one"
step 'dag stat' call "dag/stat?arg=$root&progress=false"
curl -s -X POST "http://127.0.0.1:$port/api/v0/dag/export?arg=$node" >node.car
step 'dag import' call 'dag/import?stats=true' -F data=@node.car
step 'dag import nonsense' call dag/import -F data=@tree/one

# Pins.
step 'pin add' call "pin/add?arg=$root&name=a%20tree"
step 'pin ls' call "pin/ls?arg=$root&names=true"
step 'pin ls of none' call "pin/ls?arg=$root/none"
step 'pin rm' call "pin/rm?arg=$root"
step 'pin rm again' call "pin/rm?arg=$root"

# Files.
step 'files mkdir' call 'files/mkdir?arg=/curl/a&parents=true'
step 'files write' call 'files/write?arg=/curl/f&create=true' -F file=@tree/sub/two
step 'files write at an offset' call 'files/write?arg=/curl/f&offset=5&count=3' -F file=@tree/one
step 'files read' call 'files/read?arg=/curl/f&offset=4&count=5' --output /dev/null
step 'files cp' call "files/cp?arg=/ipfs/$root&arg=/curl/tree"
step 'files mv' call 'files/mv?arg=/curl/f&arg=/curl/g'
step 'files ls' call 'files/ls?arg=/curl&long=true'
step 'files stat' call 'files/stat?arg=/curl'
step 'files chmod' call 'files/chmod?arg=0640&arg=/curl/g'
step 'files touch' call 'files/touch?arg=/curl/g&mtime=1700000000'
step 'files chcid' call 'files/chcid?arg=/curl&cid-version=1'
step 'files flush' call 'files/flush?arg=/curl'
step 'files rm' call 'files/rm?arg=/curl'
step 'files rm recursive' call 'files/rm?arg=/curl&recursive=true'
step 'files stat of what is gone' call 'files/stat?arg=/curl'

# Keys and names.
silent 'key gen' call 'key/gen?arg=curl'
step 'key gen again' call 'key/gen?arg=curl'
silent 'key rename' call 'key/rename?arg=curl&arg=renamed'
silent 'key rm' call 'key/rm?arg=renamed'
step 'name publish' call "name/publish?arg=$small&allow-offline=true"
step 'name resolve' call name/resolve

# The node and its peers.
step 'config' call 'config?arg=Discovery'
step 'swarm connect' call "swarm/connect?arg=$partner"
step 'swarm disconnect' call "swarm/disconnect?arg=$partner"
step 'bootstrap' call bootstrap
step 'a GET' bash -c 'call id -X GET'
step 'a HEAD' bash -c 'curl -s -I -o /dev/null -w "%{http_code}" "http://127.0.0.1:$port/api/v0/id"'
step 'an origin' call 'files/ls' -H 'Origin: http://evil.example'
step 'our origin' call 'files/ls' -H "Origin: http://127.0.0.1:$port"
step 'a browser' call 'files/ls' -H 'User-Agent: Mozilla/5.0'
step 'no such command' call nothing
step 'HTTP 1.0' call 'files/stat?arg=/' --http1.0

# Messages: a node hears its own.
heard() {
  curl -sN -X POST "http://127.0.0.1:$port/api/v0/pubsub/sub?arg=uY3VybA" >"$place/heard" &
  local listening=$!
  printf 'a message' >message
  for _ in $(seq 200); do
    curl -s -X POST "http://127.0.0.1:$port/api/v0/pubsub/pub?arg=uY3VybA" -F data=@message
    [ -s "$place/heard" ] && break
    sleep 0.05
  done
  call pubsub/ls
  kill "$listening"
  wait "$listening" 2>/dev/null
  head -n 1 "$place/heard" | sed 's/"seqno":"[^"]*"/"seqno":"…"/'
}
step 'pubsub' heard

# Garbage while more is added.
collected() {
  (for at in 1 2 3 4 5 6; do
    noise $((300000 + at)) >"part-$at"
    curl -s -X POST "http://127.0.0.1:$port/api/v0/add" -F "file=@part-$at"
  done >kept) &
  local adding=$!
  for _ in 1 2 3; do curl -sf -X POST "http://127.0.0.1:$port/api/v0/repo/gc" >/dev/null || return 1; done
  wait "$adding" || return 1
  cat kept
  for cid in $(sed 's/.*"Hash":"\([^"]*\)".*/\1/' kept); do
    curl -s -X POST "http://127.0.0.1:$port/api/v0/cat?arg=$cid" | wc -c
  done
}
step 'gc while adding' collected
