# Rotator: moves data keys to the newest version of the key that wraps them, without ever seeing one.

path "keyledger-transit/rewrap/keyledger-kek" {
  capabilities = ["update"]
}

# No `create`: a record that was wiped meanwhile stays wiped.
path "keyledger-kv/data/records/*" {
  capabilities = ["read", "update"]
}

path "keyledger-kv/metadata/records/*" {
  capabilities = ["list"]
}
