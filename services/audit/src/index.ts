export { type AuditApp, auditApp } from "./app.ts";
