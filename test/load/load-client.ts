import { answerParent } from "./child.ts";
import { loadGrpc } from "./load-grpc.ts";
import { loadHttp } from "./load-http.ts";
import type { LoadJob } from "./load-job.ts";

/** The process that makes load where h2load is not there, or cannot: it sends one body only. */
answerParent((job: LoadJob) => (job.protocol === "grpc" ? loadGrpc(job) : loadHttp(job)));
