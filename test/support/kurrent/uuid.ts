import { shared } from "./generated.ts";

/** Clients send a UUID as text or as two signed halves; some ask for the one, some for the other in answers. */
export function readUuid(uuid: shared.UUID | undefined): string {
  if (uuid?.hasString()) return uuid.getString().toLowerCase();
  const halves = uuid?.getStructured();
  const hex = [halves?.getMostSignificantBits(), halves?.getLeastSignificantBits()]
    .map((half) =>
      BigInt.asUintN(64, BigInt(half ?? 0))
        .toString(16)
        .padStart(16, "0"),
    )
    .join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export function writeUuid(text: string, structured: boolean): shared.UUID {
  const uuid = new shared.UUID();
  if (!structured) return uuid.setString(text);
  const hex = text.replaceAll("-", "");
  const half = (from: number) =>
    BigInt.asIntN(64, BigInt(`0x${hex.slice(from, from + 16)}`)).toString();
  const halves = new shared.UUID.Structured();
  halves.setMostSignificantBits(half(0)).setLeastSignificantBits(half(16));
  return uuid.setStructured(halves);
}
