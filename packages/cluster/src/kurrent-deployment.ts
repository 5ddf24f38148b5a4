import { type NewEvent, StoreUnavailable, type Uuid } from "@keyledger/core";
import { NO_STREAM } from "@kurrent/kurrentdb-client";
import { APPEND_DEADLINE_MS, appendOnce } from "./kurrent-append.ts";
import { KurrentConnection, type KurrentConnectionOptions } from "./kurrent-client.ts";
import { encodeEvent } from "./kurrent-event.ts";
import { type KurrentNames, namesIn } from "./kurrent-names.ts";
import { readStreamPart } from "./kurrent-read.ts";

/** One event, written when a deployment first opens the log. Logs of different deployments never work together. */
export const DEPLOYMENT_STREAM = "keyledgerdeployment-main";

/**
 * Deployment id in a log; `undefined` where it has none yet. Writes nothing.
 * @throws {StoreUnavailable}
 */
export async function readKurrentDeploymentId(
  options: KurrentConnectionOptions & { readonly namespace?: string },
): Promise<Uuid | undefined> {
  const names = namesIn(options.namespace);
  await using connection = new KurrentConnection(options);
  return idIn(connection, names);
}

/**
 * Writes the id into a new log and compares it with that of an old one.
 * @throws {StoreUnavailable} the log belongs to another deployment.
 */
export async function claimDeployment(
  connection: KurrentConnection,
  names: KurrentNames,
  deploymentId: Uuid,
): Promise<void> {
  let stored = await idIn(connection, names);
  if (stored === undefined) {
    // Two processes that open a new log at once write the same event, or one of them finds the other's.
    await appendOnce(connection, {
      name: names.toEngine(DEPLOYMENT_STREAM),
      expected: NO_STREAM,
      events: [encodeEvent(claim(deploymentId))],
      deadlineMs: APPEND_DEADLINE_MS,
    });
    stored = await idIn(connection, names);
  }
  if (stored !== deploymentId) {
    throw new StoreUnavailable("KurrentDB: the log belongs to another deployment", {
      retryable: false,
    });
  }
}

const claim = (deploymentId: Uuid): NewEvent => ({
  id: deploymentId,
  type: "DeploymentClaimed",
  data: JSON.stringify({ deploymentId }),
  metadata: { schemaVersion: "1" },
});

async function idIn(connection: KurrentConnection, names: KurrentNames): Promise<Uuid | undefined> {
  const name = names.toEngine(DEPLOYMENT_STREAM);
  const [first] = await readStreamPart(connection, name, { from: 0, limit: 1 });
  return first?.event?.id;
}
