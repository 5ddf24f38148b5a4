# Collector: finds the records no event names, and destroys them. What it reads it cannot open.

path "keyledger-kv/metadata/records/*" {
  capabilities = ["list", "delete"]
}

path "keyledger-kv/data/records/*" {
  capabilities = ["read"]
}

path "keyledger-kv/data/deployment" {
  capabilities = ["read"]
}
