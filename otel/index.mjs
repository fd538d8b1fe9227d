import otel from './index.js';

export const { instrument } = otel;
