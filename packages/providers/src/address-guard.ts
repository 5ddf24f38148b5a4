import { BlockList, isIP } from "node:net";

/** Whether a request may go to an address: anywhere public, to ourselves only for trying out, and nowhere else. */
export type AddressClass = "public" | "loopback" | "refused";

/** Ranges from IANA's registries of special-purpose addresses, and what clouds put beside them. */
const NOT_PUBLIC_IPV4 = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8", // private
  "100.64.0.0/10", // shared by carriers; also the metadata service of Alibaba Cloud
  "127.0.0.0/8", // loopback
  "168.63.129.16/32", // the host of an Azure machine: public by number, internal by use
  "169.254.0.0/16", // link-local; also nearly every metadata service
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, and broadcast
];

/** Of IPv6 only global unicast is public: mapped, NAT64, unique local, link-local and multicast lie outside. */
const GLOBAL_UNICAST_IPV6 = ["2000::/3"];
const NOT_PUBLIC_IPV6 = [
  "2001::/23", // protocol assignments, Teredo among them
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4: leads to any IPv4 address
  "3fff::/20", // documentation
];

// Never both families in one list: a list that holds IPv4 blocks finds mapped IPv6 addresses in them.
const loopbackIpv4 = blockList("ipv4", ["127.0.0.0/8"]);
const notPublicIpv4 = blockList("ipv4", NOT_PUBLIC_IPV4);
const loopbackIpv6 = blockList("ipv6", ["::1/128"]);
const globalUnicastIpv6 = blockList("ipv6", GLOBAL_UNICAST_IPV6);
const notPublicIpv6 = blockList("ipv6", NOT_PUBLIC_IPV6);

/** @param address as a resolver writes it. */
export function addressClass(address: string): AddressClass {
  // A zone (`%eth0`) only makes sense on a link of ours.
  const version = address.includes("%") ? 0 : isIP(address);
  if (version === 4) {
    if (loopbackIpv4.check(address)) return "loopback";
    return notPublicIpv4.check(address) ? "refused" : "public";
  }
  if (version === 6) {
    if (loopbackIpv6.check(address, "ipv6")) return "loopback";
    const isGlobal = globalUnicastIpv6.check(address, "ipv6");
    return isGlobal && !notPublicIpv6.check(address, "ipv6") ? "public" : "refused";
  }
  return "refused";
}

function blockList(family: "ipv4" | "ipv6", blocks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [network = "", bits] = block.split("/");
    list.addSubnet(network, Number(bits), family);
  }
  return list;
}
