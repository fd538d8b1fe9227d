'use strict';

/**
 * Where the frame of Redis' protocol (RESP2, RESP3, a command) that starts at `from` ends; -1 while it is incomplete.
 *
 * @param {Buffer} bytes
 * @param {number} [from]
 * @returns {number}
 */
function frameEnd(bytes, from = 0) {
  const lineEnd = bytes.indexOf('\r\n', from);
  if (lineEnd < 0) return -1;
  const type = String.fromCharCode(bytes[from]);
  const size = Number(bytes.toString('latin1', from + 1, lineEnd));
  let end = lineEnd + 2;
  if ('$=!'.includes(type)) {
    // The size of one that is not there is -1.
    if (size >= 0) end += size + 2;
    return end <= bytes.length ? end : -1;
  }
  // In a map each entry is two; what is said about a frame comes before it.
  const parts = { '*': size, '~': size, '>': size, '%': 2 * size, '|': 2 * size + 1 }[type] ?? 0;
  for (let part = 0; part < parts && end >= 0; part += 1) end = frameEnd(bytes, end);
  return end;
}

/** Cuts a stream into whole frames, however its bytes come. */
class Frames {
  #rest = Buffer.alloc(0);

  /**
   * The frames that are complete by now.
   *
   * @param {Buffer} chunk
   * @returns {Buffer[]}
   */
  cut(chunk) {
    const bytes = Buffer.concat([this.#rest, chunk]);
    const frames = [];
    let from = 0;
    for (let end = frameEnd(bytes); end >= 0; end = frameEnd(bytes, from)) {
      frames.push(bytes.subarray(from, end));
      from = end;
    }
    this.#rest = bytes.subarray(from);
    return frames;
  }
}

module.exports = { Frames };
