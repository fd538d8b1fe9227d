import Redlock from './redlock-async.js';

export default Redlock;
export const { Lock, LockError } = Redlock;
