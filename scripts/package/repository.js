'use strict';

/**
 * Where a package's sources are. They have no address of their own before somebody puts them somewhere, so that the
 * manifests here name none: it is that of the pipeline that packs them, which npm compares with what it publishes.
 */

/**
 * @param {Record<string, any>} manifest
 * @param {NodeJS.ProcessEnv} env
 * @returns {Record<string, any>} the manifest with `repository`, `bugs` and `homepage`; as it is, outside a pipeline
 */
function withRepository(manifest, env) {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = env;
  if (!server || !name) return manifest;
  const address = `${server}/${name}`;
  return {
    ...manifest,
    repository: { type: 'git', url: `git+${address}.git` },
    bugs: `${address}/issues`,
    homepage: `${address}#readme`,
  };
}

/** By hand, that is. */
const HOW_TO_NAME_ONE =
  'Set GITHUB_SERVER_URL (https://…) and GITHUB_REPOSITORY (owner/name) to where the sources are, and make the packages ' +
  'again (npm run package)';

module.exports = { HOW_TO_NAME_ONE, withRepository };
