#!/bin/sh
# Prepares an OpenBao or a Vault for Keyledger: mounts, keys, the Mac root, policies and roles. Safe to run again: what is
# there stays, policies and role settings are brought up to date. Needs curl 7.76 or later.
#
#   BAO_ADDR                   https://openbao:8200
#   BAO_TOKEN_FILE             a file with the token of an administrator
#   BAO_NAMESPACE              (optional) namespace everything is made in
#   BAO_CACERT                 (optional) PEM file of the authority that signed the engine's certificate
#   KEYLEDGER_CREDENTIALS_DIR  (optional) where <role>/role-id and <role>/secret-id are written for each service role
#   KUBERNETES_HOST            (optional) address of the API server: pods may then log in with their service account
#   KEYLEDGER_NAMESPACE        (with it) namespace of the pods, `keyledger` unless set
#   KEYLEDGER_SERVICE_ACCOUNT  (with it) their service account, `keyledger-keyring` unless set
set -eu
umask 077

: "${BAO_ADDR:?is the address of the engine}"
: "${BAO_TOKEN_FILE:?is the file with the token of an administrator}"
here=$(cd "$(dirname "$0")" && pwd)
service_roles="command resolver rotator reaper collector"

# In a file, so that the token stands in no list of processes.
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
printf 'X-Vault-Token: %s\n' "$(cat "$BAO_TOKEN_FILE")" >"$headers"
[ -z "${BAO_NAMESPACE:-}" ] || printf 'X-Vault-Namespace: %s\n' "$BAO_NAMESPACE" >>"$headers"

# ask <method> <path> [json]: prints the answer; fails unless it is a success.
ask() {
  curl --silent --show-error --fail-with-body --max-time 10 --header "@$headers" \
    ${BAO_CACERT:+--cacert "$BAO_CACERT"} --request "$1" ${3:+--data "$3"} "$BAO_ADDR/v1/$2"
}

# status <path>: the status of a read.
status() {
  curl --silent --show-error --output /dev/null --write-out '%{http_code}' --max-time 10 \
    --header "@$headers" ${BAO_CACERT:+--cacert "$BAO_CACERT"} "$BAO_ADDR/v1/$1"
}

# field <name> <json>: a text in an answer.
field() {
  value=$(printf '%s' "$2" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p")
  [ -n "$value" ] || fail "no $1 in the answer"
  printf '%s' "$value"
}

fail() {
  echo "keyledger init: $1" >&2
  exit 1
}

# mount <sys/mounts|sys/auth> <path> <json>
mount() {
  case $(ask GET "$1") in
  *"\"$2/\":"*) ;;
  *) ask POST "$1/$2" "$3" ;;
  esac
}

echo "mounts"
mount sys/mounts keyledger-transit '{"type":"transit"}'
mount sys/mounts keyledger-kv '{"type":"kv","options":{"version":"2"}}'
mount sys/auth approle '{"type":"approle"}'
# A KV mount that has just been made answers 400 for a moment.
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  # One version: a rewrapped record must not keep its old wrap, and no write may overlook another.
  ask POST keyledger-kv/config '{"max_versions":1,"cas_required":true}' && break
  [ "$attempt" -lt 10 ] || fail "keyledger-kv does not get ready"
  sleep 1
done

echo "keys"
# Encrypting under an unknown name must never make a key.
ask POST keyledger-transit/config/keys '{"disable_upsert":true}' >/dev/null
ask POST keyledger-transit/keys/keyledger-kek '{"type":"aes256-gcm96","derived":true}' >/dev/null
ask POST keyledger-transit/keys/keyledger-mac '{"type":"aes256-gcm96"}' >/dev/null

echo "Mac root"
case $(status keyledger-kv/data/mac-root) in
200) ;;
404)
  # With another root no fingerprint and no caller key of before would match.
  [ "$(status 'keyledger-kv/metadata/records?list=true')" = 404 ] ||
    fail "keyledger-kv holds records but no mac-root: restore it, a new one would not fit them"
  # The engine makes the 32 bytes and hands out the wrapped form alone.
  answer=$(ask POST keyledger-transit/datakey/wrapped/keyledger-mac '{}')
  wrapped=$(field ciphertext "$answer")
  id=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
  ask POST keyledger-kv/data/mac-root \
    "{\"options\":{\"cas\":0},\"data\":{\"mac_root_id\":\"$id\",\"wrapped\":\"$wrapped\"}}" >/dev/null
  ;;
*) fail "keyledger-kv/data/mac-root cannot be read" ;;
esac

# role <name> <settings>: policy and AppRole.
role() {
  ask PUT "sys/policies/acl/keyledger-$1" \
    "{\"policy\":\"$(base64 <"$here/policies/$1.hcl" | tr -d '\n')\"}"
  ask POST "auth/approle/role/keyledger-$1" "{\"token_policies\":[\"keyledger-$1\"],$2}"
}

echo "roles"
for name in $service_roles; do
  role "$name" '"token_ttl":"1h","token_max_ttl":"24h"'
done
# Break-glass: a secret id is drawn when it is needed, and good for one login within a quarter of an hour.
role operator '"token_ttl":"15m","token_max_ttl":"1h","secret_id_ttl":"15m","secret_id_num_uses":1'

if [ -n "${KUBERNETES_HOST:-}" ]; then
  echo "Kubernetes login"
  mount sys/auth kubernetes '{"type":"kubernetes"}'
  ask POST auth/kubernetes/config "{\"kubernetes_host\":\"$KUBERNETES_HOST\"}"
  for name in $service_roles; do
    ask POST "auth/kubernetes/role/keyledger-$name" "{
      \"bound_service_account_names\":[\"${KEYLEDGER_SERVICE_ACCOUNT:-keyledger-keyring}\"],
      \"bound_service_account_namespaces\":[\"${KEYLEDGER_NAMESPACE:-keyledger}\"],
      \"token_policies\":[\"keyledger-$name\"],\"token_ttl\":\"1h\",\"token_max_ttl\":\"24h\"}"
  done
fi

if [ -n "${KEYLEDGER_CREDENTIALS_DIR:-}" ]; then
  echo "credentials"
  for name in $service_roles; do
    mkdir -p "$KEYLEDGER_CREDENTIALS_DIR/$name"
    answer=$(ask GET "auth/approle/role/keyledger-$name/role-id")
    field role_id "$answer" >"$KEYLEDGER_CREDENTIALS_DIR/$name/role-id"
    answer=$(ask POST "auth/approle/role/keyledger-$name/secret-id" '{}')
    field secret_id "$answer" >"$KEYLEDGER_CREDENTIALS_DIR/$name/secret-id"
  done
fi
echo "done"
