export { type Instrumentation, type InstrumentOptions, instrument } from './index.js';
