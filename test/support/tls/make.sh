#!/bin/sh
# Makes the certificates of the tests anew: valid from 2020 to 2120, keys public, authorities' keys thrown away.
# It needs OpenSSL 3.
set -eu
there=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"

cat >config <<'END'
[ca]
default_ca = test
[test]
database = database
new_certs_dir = .
rand_serial = yes
default_md = sha256
unique_subject = no
policy = policy
default_startdate = 20200101000000Z
default_enddate = 21200101000000Z
[policy]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
END
touch database

request() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
  openssl req -new -key "$1.key" -subj "/CN=Keyledger test $1" -out "$1.request"
}
issue() {
  openssl ca -batch -notext -config config -extensions "$2" -in "$1.request" -out "$1.pem" $3
}
authority() {
  request "$1"
  issue "$1" authority "-selfsign -keyfile $1.key"
}
signed() {
  request "$1"
  issue "$1" "$2" "-cert $3.pem -keyfile $3.key"
  cp "$1.pem" "$there"
  { echo "A key for tests only: it is public, and protects nothing."; cat "$1.key"; } >"$there/$1-key.pem"
}

authority authority
authority strangers-authority
cp authority.pem "$there"
signed server server authority
signed client client authority
signed stranger client strangers-authority
