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

/** Of IPv6 only global unicast is public, so mapped, NAT64, unique local, link-local and multicast are out at once. */
const GLOBAL_UNICAST = ["2000::/3"];
const NOT_PUBLIC_IPV6 = [
  "2001::/23", // protocol assignments, Teredo among them
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4: leads to any IPv4 address
  "3fff::/20", // documentation
];

const notPublic = blockList(NOT_PUBLIC_IPV4, NOT_PUBLIC_IPV6);
const globalUnicast = blockList([], GLOBAL_UNICAST);
const loopback = blockList(["127.0.0.0/8"], ["::1/128"]);

/** @param address as a resolver writes it. */
export function addressClass(address: string): AddressClass {
  const version = isIP(address);
  // A zone (`%eth0`) only makes sense on a link of ours.
  if (version === 0 || address.includes("%")) return "refused";
  const family = version === 4 ? "ipv4" : "ipv6";
  // Mapped addresses stand for IPv4 ones, and a list of blocks sees through them: no name needs one.
  if (family === "ipv6" && address.toLowerCase().startsWith("::ffff:")) return "refused";
  if (loopback.check(address, family)) return "loopback";
  if (notPublic.check(address, family)) return "refused";
  return family === "ipv4" || globalUnicast.check(address, family) ? "public" : "refused";
}

function blockList(ipv4: readonly string[], ipv6: readonly string[]): BlockList {
  const list = new BlockList();
  const add = (block: string, family: "ipv4" | "ipv6") => {
    const [network = "", bits] = block.split("/");
    list.addSubnet(network, Number(bits), family);
  };
  for (const block of ipv4) add(block, "ipv4");
  for (const block of ipv6) add(block, "ipv6");
  return list;
}
