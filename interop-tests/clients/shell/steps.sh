# What both shell clients share: steps with what they print and how they end, so that two daemons can be compared.

set -u
export LC_ALL=C

# step NAME COMMAND...: its output, its errors and its end.
step() {
  local name=$1 code=0
  shift
  printf '== %s\n' "$name"
  "$@" >"$place/out" 2>"$place/err" || code=$?
  cat "$place/out"
  sed 's/^/! /' "$place/err"
  printf '\n-- %s\n' "$code"
}

# The same for what is printed in no order.
unordered() {
  local name=$1
  shift
  step "$name" bash -o pipefail -c '"$@" | sort' bash "$@"
}

# The same where only the hash of the output counts.
hashed() {
  local name=$1
  shift
  step "$name" bash -o pipefail -c '"$@" | sha256sum' bash "$@"
}

# The same where only the end counts.
silent() {
  local name=$1
  shift
  step "$name" bash -c '"$@" >/dev/null 2>&1' bash "$@"
}

# COUNT bytes that repeat late.
noise() {
  openssl enc -aes-128-ctr -K 000102030405060708090a0b0c0d0e0f -iv 00000000000000000000000000000000 -nosalt \
    -in /dev/zero 2>/dev/null | head -c "$1"
}

make_tree() {
  mkdir -p "$place/tree/sub"
  printf 'one' >"$place/tree/one"
  noise 700000 >"$place/tree/sub/two"
  printf 'spaces and more\n' >"$place/tree/sub/a b+c%d"
  ln -s sub/two "$place/tree/link"
}
