# Shred reaper: destroys records, reads none. Deleting the metadata takes every version along.

path "keyledger-kv/metadata/records/*" {
  capabilities = ["delete"]
}
