export { nodeHost } from "./host.ts";
export {
  createHttpEdge,
  type HttpEdge,
  type HttpEdgeLimits,
  type HttpEdgeOptions,
  type HttpEdgeTls,
  isKeyLike,
  PAGE_HEADERS,
} from "./http-edge.ts";
