# Resolver side of the keyring service: opens secrets, changes none.

path "keyledger-transit/decrypt/keyledger-kek" {
  capabilities = ["update"]
}

path "keyledger-kv/data/records/*" {
  capabilities = ["read"]
}

path "keyledger-kv/data/deployment" {
  capabilities = ["read"]
}
