# Command side of the keyring service: seals new secrets, never opens one.

# `update` only: without `create` an unknown key name makes no key.
path "keyledger-transit/encrypt/keyledger-kek" {
  capabilities = ["update"]
}

path "keyledger-kv/data/records/*" {
  capabilities = ["create", "update"]
}

# Names the deployment at its first start.
path "keyledger-kv/data/deployment" {
  capabilities = ["create", "update"]
}

# The root of the keyed hashes: reads it, opens it, and can neither replace it nor wrap another.
path "keyledger-kv/data/mac-root" {
  capabilities = ["read"]
}

path "keyledger-transit/decrypt/keyledger-mac" {
  capabilities = ["update"]
}
