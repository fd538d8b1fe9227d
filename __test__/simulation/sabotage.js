'use strict';

/**
 * Rules of docs/safety.md and what else JavaScript's half must keep, each as the few lines that keep it. The simulation
 * runs without one of them to see that it is missed.
 *
 * @typedef {{file: string, from: string, to: string}} Edit
 * @typedef {{name: string, rule: string, edits: Edit[]}} Sabotage
 */

/** What was read of names is not what is used. */
const readTwice = {
  file: 'lib/arguments.js',
  from: '  if (names.length > 1) refuseTwins(names);\n  return names;',
  to: '  if (names.length > 1) refuseTwins(names);\n  return resource;',
};

/** @type {Sabotage[]} */
const sabotages = [
  {
    name: 'turns',
    rule: '19: what carries validity is handed over at a turn of its own',
    edits: [
      {
        file: 'lib/native/answers.js',
        from: 'if (answer.until > 0 || kind === INSPECTED) turns.add(',
        to: 'if (kind < 0) turns.push(',
      },
    ],
  },
  {
    name: 'late-turns',
    rule: "19: a turn lasts until bluebird's promises have told of its answer",
    edits: [
      {
        file: 'lib/native/turns.js',
        from: 'if (isHeardLate && !this.#areImmediatesLost) this.#awaitImmediates();\n    else if (!isAtOnce)',
        to: 'if (!isAtOnce)',
      },
    ],
  },
  {
    name: 'told-at-once',
    rule: '19: who listens is told once the caller has gone on',
    edits: [{ file: 'lib/channels.js', from: 'tells.push(AsyncResource.bind(tell));', to: 'tell();' }],
  },
  {
    name: 'events-between',
    rule: '19: no event is told between the look at an answer and its hand-over',
    edits: [
      {
        file: 'lib/native/turns.js',
        from: '    if (this.#isLate) this.#postponed.push(tell);\n    else tell();',
        to: '    tell();',
      },
    ],
  },
  {
    name: 'told-between',
    rule: '19: what came of one is told before the next is looked at',
    edits: [{ file: 'lib/native/turns.js', from: '    tellNow();\n', to: '' }],
  },
  {
    name: 'look',
    rule: '19: what carries validity is looked at when it is handed over',
    edits: [{ file: 'lib/native/answer.js', from: 'return this.until <= clock();', to: 'return false;' }],
  },
  {
    name: 'wall-clock',
    rule: '4: the wall clock decides nothing',
    edits: [
      {
        file: 'lib/native/answer.js',
        from: 'return this.until <= clock();',
        to: 'return this.expiration <= Date.now();',
      },
    ],
  },
  {
    name: 'extension',
    rule: '19: an extension that arrives dead is none',
    edits: [{ file: 'lib/locker.js', from: 'if (answer.isOver && !isKept) answer.letEnd();', to: '' }],
  },
  {
    name: 'dead-release',
    rule: '3: a lock that is dead on arrival is released',
    edits: [
      {
        file: 'lib/expired-on-arrival.js',
        from: 'engine.unlock(names, answer.value, answer.since, settings, report);',
        to: '',
      },
    ],
  },
  {
    name: 'discard',
    rule: '5: what is granted to somebody who has given up is released',
    edits: [
      {
        file: 'lib/abortable.js',
        from: 'if (!answer.failure) engine.unlock(names, value ?? answer.value,',
        to: 'if (answer === undefined) engine.unlock(names, value ?? answer.value,',
      },
    ],
  },
  {
    name: 'read-once',
    rule: "20: a caller's object is read once",
    edits: [readTwice],
  },
  {
    name: 'whole-row',
    rule: '20: a row is written whole or not at all',
    edits: [
      readTwice,
      {
        file: 'lib/native/requests.js',
        from: 'const length = lengthOf(value, resources);',
        to: 'const length = 100 * resources.length;',
      },
    ],
  },
  {
    name: 'prototype',
    rule: '20: nothing is taken from Object.prototype',
    edits: [
      { file: 'lib/native/answers.js', from: 'for (const _ in {}) return', to: 'if (json === null) return' },
      { file: 'lib/inspection.js', from: 'viewOf(bare(vote),', to: 'viewOf(vote,' },
      {
        file: 'lib/redact.js',
        from: 'return Object.hasOwn(told, key) && typeof',
        to: 'return typeof',
      },
    ],
  },
  {
    name: 'no-answer',
    rule: 'an errand is answered, whatever the client does',
    edits: [
      {
        file: 'lib/clients/bridge.js',
        from: "port.unexpected(ticket, 'something that cannot be read');",
        to: '',
      },
    ],
  },
  {
    name: 'two-answers',
    rule: 'an errand is answered once',
    edits: [
      {
        file: 'lib/clients/bridge.js',
        from: "port.unexpected(ticket, 'something that cannot be read');",
        to: "port.unexpected(ticket, 'something that cannot be read');\n        throw new Error('odd');",
      },
    ],
  },
  {
    name: 'details',
    rule: '17: a client that leads elsewhere is noticed before the next request',
    edits: [
      {
        file: 'lib/native/engine.js',
        from: 'at < clients.length; at++) clients[at].refresh();',
        to: 'at < 0; at++);',
      },
    ],
  },
  {
    name: 'secrets',
    rule: 'no secret in what instances have said',
    edits: [{ file: 'lib/native/slots.js', from: '        asker.clean(failure);', to: '' }],
  },
  {
    name: 'listeners',
    rule: "a listener's exception costs no other answer",
    edits: [{ file: 'lib/native/calls.js', from: 'raise(error);', to: 'throw error;' }],
  },
  {
    name: 'gone',
    rule: 'nothing is asked of what is closed',
    edits: [{ file: 'lib/native/requests.js', from: 'if (asker.isGone) {', to: 'if (count < 0) {' }],
  },
  {
    name: 'signals',
    rule: 'an AbortSignal that misbehaves leaves nobody waiting',
    edits: [
      {
        file: 'lib/abort-signal.js',
        from: '// Should it still call, nobody is there.',
        to: "throw new Error('no longer');",
      },
    ],
  },
  {
    name: 'slots',
    rule: 'a slot is used again only once it is answered',
    edits: [
      {
        file: 'lib/native/requests.js',
        from: 'currentMailbox()?.cancel(this.#slot);',
        to: 'currentMailbox()?.cancel(this.#slot);\n    slots.free(this.#slot);',
      },
      {
        file: 'lib/native/slots.js',
        from: 'class Slots {',
        to: 'class Slots {\n  free(slot) {\n    this.#free.push(slot);\n  }',
      },
    ],
  },
  {
    name: 'let-go',
    rule: 'a kept lock that is lost is let go of',
    edits: [{ file: 'lib/native/engine.js', from: 'this.unwatch(event.number);', to: '' }],
  },
  {
    name: 'vote-reports',
    rule: 'a vote report ends with its request',
    edits: [{ file: 'compat/v5/attempts.js', from: 'this.#engine.endReport(this.voteReport);', to: '' }],
  },
];

module.exports = { sabotages };
