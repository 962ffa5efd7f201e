// The answers of the API, as its document describes them; see .ci/check-page.

import type { components } from '#api';

type Schemas = components['schemas'];

export type Agent = Schemas['AgentState'];
export type Approval = Schemas['Approval'];
export type ApprovalDetail = Schemas['ApprovalDetail'];
export type AuditChain = Schemas['AuditChain'];
export type AuditEntry = Schemas['AuditEntry'];
export type Bulk = Schemas['Bulk'];
export type Condition = Schemas['Condition'];
export type DecisionResult = Schemas['DecisionResult'];
export type ManagedKey = Schemas['ManagedKey'];
/** Of a problem, a call without an answer has only these. */
export type Problem = Pick<Schemas['Problem'], 'status' | 'title' | 'detail'>
  & Partial<Schemas['Problem']>;
export type Session = Schemas['BrowserSession'];
export type Task = Schemas['Task'];
export type Transition = Schemas['Transition'];
