import Redlock from './index.js';

export default Redlock;
export const { Lock, LockError, InstanceError, ConnectionError } = Redlock;
export { Redlock };
