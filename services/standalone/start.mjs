// Plain JavaScript, so that it runs on any Node: an old one dies on the first .ts file without a readable word.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 22)) {
  console.error(
    `keyledger: this is Node ${process.versions.node}; it needs 24 (22.22 at least): start it with "npm start", which brings its own.`,
  );
  process.exit(1);
}
await import("./src/main.ts");
