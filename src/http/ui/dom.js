// What every module of the page renders with.

import { h } from './vendor/preact.mjs';
import htm from './vendor/htm.mjs';

/** Builds elements from a template; a value in it is text, never markup. */
export const html = htm.bind(h);

export { render } from './vendor/preact.mjs';
export { useEffect, useRef, useState } from './vendor/hooks.mjs';
