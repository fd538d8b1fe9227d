'use strict';

/** The constructor's first argument: the members of the quorum, each a configuration or a caller's client. */

const { Bridge } = require('../clients/bridge');
const { adopt, hasCommands, isBlank, isClient } = require('../clients');
const { outOfRange, wrongType, show, showSetting, unreadable, mistypedInstance } = require('../errors');
const { elementsOf, get, isArray } = require('../foreign');
const { isConfig, readInstance } = require('.');
const { Redactor, secretsIn } = require('../redact');

/**
 * @typedef {import('../clients/bridge').Rule} RoutePolicy whether a client is asked, or a connection of our own in its place
 * @typedef {import('../types').Member} Member
 */

/** @type {RoutePolicy[]} */
const ROUTE_POLICIES = ['auto', 'native', 'bridge'];

/** The most that native's quorum can have. */
const MOST_MEMBERS = 128;

/**
 * @param {unknown} instances
 * @param {RoutePolicy} policy for the clients that come without one of their own
 * @param {import('../clients/client').Dialect} dialect
 * @returns {Member[]}
 */
function readMembers(instances, policy, dialect) {
  if (instances === undefined || instances === null) throw noInstances();
  if (!isArray(instances)) {
    const what = typeof instances === 'string' ? 'a string' : show(instances);
    throw wrongType('INSTANCES', `instances must be an array with one address each, not ${what}`);
  }
  const given = elementsOf(instances, unreadable('INSTANCES', 'instances'));
  if (given.length === 0) throw noInstances();
  if (given.length > MOST_MEMBERS) {
    throw outOfRange('INSTANCES', `instances must be ${MOST_MEMBERS} at most, not ${given.length}`);
  }
  try {
    return membersOf(given, policy, dialect);
  } catch (error) {
    const redactor = new Redactor(secretsIn(given.filter((one) => !hasCommands(one))));
    throw redactor.cleanError(/** @type {Error} */ (error));
  }
}

/**
 * @param {string} what
 * @param {unknown} given
 */
function notAPolicy(what, given) {
  const known = ROUTE_POLICIES.map((one) => `"${one}"`).join(', ');
  return `${what} must be one of ${known}, not ${showSetting(given)}`;
}

function noInstances() {
  const error = new Error('Redlock must be instantiated with at least one redis server.');
  return Object.assign(error, { code: 'ERR_REDLOCK_INVALID_INSTANCES' });
}

/**
 * @param {unknown[]} instances
 * @param {RoutePolicy} policy
 * @param {import('../clients/client').Dialect} dialect
 * @returns {Member[]}
 */
function membersOf(instances, policy, dialect) {
  /** @type {Map<unknown, {bridge: Bridge, index: number}>} */
  const known = new Map();
  return instances.map((instance, index) => {
    const name = `instances[${index}]`;
    const given = unwrap(instance, policy, name);
    if (!given) return { config: readInstance(instance, name), bridge: undefined };
    // The very same client twice is one, and counts for both.
    const before = known.get(given.client);
    const bridge = before?.bridge ?? new Bridge(adopt(given.client, name, dialect), given.policy, name);
    if (!before) known.set(given.client, { bridge, index });
    return { config: { ...bridge.config, same: before?.index }, bridge };
  });
}

/**
 * @param {any} instance
 * @param {RoutePolicy} policy
 * @param {string} name
 * @returns {{client: unknown, policy: RoutePolicy} | undefined} undefined if it is no client
 */
function unwrap(instance, policy, name) {
  if (isWrapped(instance)) {
    const client = get(instance, 'client');
    const connections = get(instance, 'connections') ?? policy;
    if (!isClient(client)) {
      throw mistypedInstance(`${name}.client must be a client of a Redis library, not ${show(client)}`);
    }
    if (!ROUTE_POLICIES.includes(connections)) {
      throw mistypedInstance(notAPolicy(`${name}.connections`, connections));
    }
    return { client, policy: connections };
  }
  const isOne = hasCommands(instance) || (!isConfig(instance) && (isClient(instance) || isBlank(instance)));
  return isOne ? { client: instance, policy } : undefined;
}

/** Clients may have something called `client` too; ours is a plain object. @param {any} instance */
function isWrapped(instance) {
  if (typeof instance !== 'object' || instance === null) return false;
  try {
    const prototype = Object.getPrototypeOf(instance);
    const isPlain = prototype === Object.prototype || prototype === null;
    return isPlain && Object.hasOwn(instance, 'client') && !isClient(instance);
  } catch {
    // A Proxy's.
    return false;
  }
}

module.exports = { readMembers, ROUTE_POLICIES, notAPolicy };
