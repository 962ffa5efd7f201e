/** What the page uses of Preact's hooks, for the check of types. */
export function useState<S>(first: S | (() => S)): [S, (next: S | ((last: S) => S)) => void];
export function useEffect(effect: () => void | (() => void), inputs?: any[]): void;
export function useRef<T>(first: T): { current: T };
