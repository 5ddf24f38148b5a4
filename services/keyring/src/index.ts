export type { Status } from "./admin-service.ts";
export { type KeyringApp, keyringApp } from "./app.ts";
export {
  type Authenticate,
  type Credentials,
  createAuthenticator,
  type VerifyToken,
} from "./auth.ts";
export { ERROR_DOMAIN } from "./errors.ts";
export { type GrpcListener, type GrpcTls, listenGrpc } from "./grpc.ts";
export type { GuardedService } from "./guarded.ts";
export { connectPlugin } from "./http.ts";
export type { JwksSource } from "./jwks-source.ts";
export { type ClaimNames, DEFAULT_CLAIM_NAMES } from "./jwt-claims.ts";
export { localClient } from "./local.ts";
export { METHOD_NAMES } from "./method-names.ts";
export { POLICY, type Rule } from "./policy.ts";
export { openTokenVerifier, type TokenSettings } from "./tokens.ts";
