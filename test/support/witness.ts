import type { Canaries, Encoding } from "./canary.ts";

export interface Sighting {
  /** What the process said or wrote: `stderr`, `file log.db`, `REST PATCH ...`. */
  readonly channel: string;
  readonly encoding: Encoding;
  readonly canary: string;
}

/** Keeps everything a process lets be seen, by the channel it came through, and is asked at the end what was in it. */
export class Witness {
  readonly #seen = new Map<string, Buffer[]>();

  saw(channel: string, content: Uint8Array | string): void {
    const before = this.#seen.get(channel);
    if (before) before.push(Buffer.from(content));
    else this.#seen.set(channel, [Buffer.from(content)]);
  }

  get channels(): readonly string[] {
    return [...this.#seen.keys()];
  }

  get bytes(): number {
    return [...this.#seen.values()].flat().reduce((sum, { length }) => sum + length, 0);
  }

  sightings(canaries: Canaries): readonly Sighting[] {
    return [...this.#seen].flatMap(([channel, contents]) => {
      // Pieces of one stream belong together; answers are kept apart by what cannot stand in a canary.
      const hits = canaries.search(Buffer.concat(contents.flatMap((content) => [content, BREAK])));
      return hits.map((hit) => ({ channel, ...hit }));
    });
  }
}

const BREAK = Buffer.from("\n\0\n");
