/** What the page uses of Preact, for the check of types. */
export function h(type: any, props: any, ...children: any[]): any;
export function render(view: any, parent: Element): void;
