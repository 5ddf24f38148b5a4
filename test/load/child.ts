import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { pinned } from "./machine.ts";

/** A process of the benchmark's own, asked over its channel. */
export interface Child<Question, Answer> extends Disposable {
  readonly pid: number;
  /** One question at a time. @throws {Error} what the process could not do, or that it ended or took too long. */
  ask(question: Question, withinMs: number): Promise<Answer>;
}

type Reply<Answer> = { readonly answer: Answer } | { readonly failure: string };

/** Starts `<name>.ts` of this directory on one processor. */
export function startChild<Question, Answer>(
  name: string,
  cpu: number | undefined,
): Child<Question, Answer> {
  const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  const [command = process.execPath, ...args] = [...pinned(cpu), process.execPath, file];
  const child = spawn(command, args, {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} could not be started`);
  return {
    pid,
    ask: (question, withinMs) =>
      new Promise((resolve, reject) => {
        const end = (settle: () => void) => {
          clearTimeout(timer);
          child.off("message", onReply);
          child.off("exit", onExit);
          settle();
        };
        const onReply = (reply: Reply<Answer>) =>
          end(() => ("answer" in reply ? resolve(reply.answer) : reject(new Error(reply.failure))));
        const onExit = () => end(() => reject(new Error(`${name} ended`)));
        const timer = setTimeout(
          () => end(() => reject(new Error(`${name} did not answer within ${withinMs} ms`))),
          withinMs,
        );
        child.on("message", onReply);
        child.on("exit", onExit);
        child.send(question as object);
      }),
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}

/** The other end: answers what the parent asks, and ends with it. */
export function answerParent<Question, Answer>(
  answer: (question: Question) => Promise<Answer>,
): void {
  process.on("message", (question: Question) => {
    answer(question).then(
      (given) => process.send?.({ answer: given } satisfies Reply<Answer>),
      (error: unknown) => process.send?.({ failure: String(error) } satisfies Reply<Answer>),
    );
  });
  process.on("disconnect", () => process.exit());
}
