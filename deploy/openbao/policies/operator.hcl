# Operator, break-glass: rotates the key that wraps data keys and retires its old versions; sees no record and no key.
# `keyledger-mac` is left out on purpose: nobody can rewrap the Mac root, so trimming that key would lose it for ever.

path "keyledger-transit/keys/keyledger-kek/rotate" {
  capabilities = ["update"]
}

# Only the minimums: a key once made exportable or deletable could leave, or be lost.
path "keyledger-transit/keys/keyledger-kek/config" {
  capabilities = ["update"]
  allowed_parameters = {
    "min_decryption_version" = []
    "min_encryption_version" = []
  }
}

path "keyledger-transit/keys/keyledger-kek/trim" {
  capabilities = ["update"]
}
