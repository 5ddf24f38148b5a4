/** Answers of the brokers that people can do something about. */
const WORDS: Readonly<Record<string, string>> = {
  UNKNOWN_TOPIC_OR_PARTITION: "does not exist",
  TOPIC_AUTHORIZATION_FAILED: "may not be used with our credentials",
  GROUP_AUTHORIZATION_FAILED: "cannot be read: no group named after our client id is allowed",
  GROUP_LOAD_IN_PROGRESS: "cannot be read yet: the coordinator of its readers is starting",
  NOT_ENOUGH_REPLICAS: "has too few replicas in sync",
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: "has too few replicas in sync",
  LEADER_NOT_AVAILABLE: "has a partition without leader",
  NOT_LEADER_FOR_PARTITION: "has a partition that moved",
  MESSAGE_TOO_LARGE: "takes no messages of this size: see its max.message.bytes",
  INVALID_TIMESTAMP: "refuses the time of an event: see its message.timestamp settings",
};

/**
 * What went wrong, for operators. Nothing is passed on but the name of a broker's answer, which is a constant of the
 * protocol: the rest of an error may hold addresses, settings or credentials.
 */
export function wordsFor(error: unknown, topic: string): string {
  const answer = answerIn(error);
  if (answer === REFUSED_LOGIN) return "the Kafka brokers refuse our credentials";
  if (answer !== undefined)
    return `the Kafka topic ${topic} ${WORDS[answer] ?? `failed: ${answer}`}`;
  return "no Kafka broker answers";
}

const REFUSED_LOGIN = "SASL_AUTHENTICATION_FAILED";
const ANSWER = /^[A-Z][A-Z_]{2,63}$/;
/** The library wraps a failure in others, each the cause of the next. */
const CAUSES_MAX = 5;

function answerIn(error: unknown): string | undefined {
  let link = error;
  for (let depth = 0; link instanceof Error && depth < CAUSES_MAX; depth++) {
    if (link.name === "KafkaJSSASLAuthenticationError") return REFUSED_LOGIN;
    if ("type" in link && typeof link.type === "string" && ANSWER.test(link.type)) return link.type;
    link = link.cause;
  }
  return undefined;
}
