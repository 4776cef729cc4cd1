// Hardhat compiles and runs the Solidity tests. Its settings are those of contracts/compiler.json,
// with which scripts/build.py makes the artifacts that are shipped.
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(fileURLToPath(import.meta.url));
const compiler = JSON.parse(readFileSync(path.join(root, "contracts/compiler.json"), "utf8"));

/** @type {import("hardhat/config").HardhatUserConfig} */
export default {
  paths: {
    sources: "contracts",
    tests: { solidity: "tests/contracts" },
    cache: "var/hardhat/cache",
    artifacts: "var/hardhat/artifacts",
  },
  solidity: {
    version: compiler.version,
    // The compiler that npm installed: with a path given, Hardhat downloads none.
    path: path.join(root, "node_modules/solc/soljson.js"),
    settings: compiler.settings,
  },
  test: {
    solidity: {
      fuzz: { runs: 256, seed: "0x71756e6368656e67" },
      invariant: { runs: 64, depth: 128, failOnRevert: true },
    },
  },
};
