// Hardhat compiles and runs the Solidity tests. Its settings are those of contracts/compiler.json,
// with which scripts/build.py makes the artifacts that are shipped.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(fileURLToPath(import.meta.url));
const compiler = JSON.parse(readFileSync(path.join(root, "contracts/compiler.json"), "utf8"));

// The compiler that npm installed: with a path given, Hardhat downloads none.
const solc = { version: compiler.version, path: path.join(root, "node_modules/solc/soljson.js") };

// The tests deploy the contracts by artifact, as they are shipped, and know their interfaces only. Their own
// code is compiled the quick way, without the optimizer and its pipeline, which would take minutes. Of the
// verifier it would not compile at all.
const quick = { ...compiler.settings, optimizer: { enabled: false }, viaIR: false };
const tests = readdirSync(path.join(root, "tests/contracts"))
  .filter((name) => name.endsWith(".sol") && name !== "PasskeyVerifier.sol")
  .map((name) => `tests/contracts/${name}`);

// Hardhat compiles together what has the same settings, and means the same object by it: without this
// it would compile each test by itself, with all that it imports.
const together = {
  id: "together",
  hookHandlers: {
    config: async () => ({
      default: async () => ({
        resolveUserConfig: async (config, variable, next) => {
          const resolved = await next(config, variable);
          for (const { overrides } of Object.values(resolved.solidity.profiles)) {
            for (const name of tests) overrides[name] = overrides[tests[0]];
          }
          return resolved;
        },
      }),
    }),
  },
};

/** @type {import("hardhat/config").HardhatUserConfig} */
export default {
  paths: {
    sources: "contracts",
    tests: { solidity: "tests/contracts" },
    cache: "var/hardhat/cache",
    artifacts: "var/hardhat/artifacts",
  },
  plugins: [together],
  solidity: {
    compilers: [{ ...solc, settings: compiler.settings }],
    overrides: Object.fromEntries(tests.map((name) => [name, { ...solc, settings: quick }])),
  },
  test: {
    solidity: {
      fuzz: { runs: 256, seed: "0x71756e6368656e67" },
      invariant: { runs: 64, depth: 128, failOnRevert: true },
    },
  },
};
